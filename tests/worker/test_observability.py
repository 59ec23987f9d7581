"""What operators see: one log line an event, as text or JSON."""

import json
import logging
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from celery import signals
from celery.bin.worker import worker as worker_command
from sqlalchemy.exc import OperationalError

from tests.worker.conftest import ClockedServices
from tests.worker.home import Home
from tests.worker.scans import png
from worker import observability
from worker.app import build_app
from worker.migrate import NewerDatabaseError
from worker.observability import QUIET_LOGGERS, configure_logging
from worker.pipeline import INTAKE
from worker.settings import Settings
from worker.stage_runner import run_stage
from worker.store.objects import MARKER, ObjectStore


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in QUIET_LOGGERS}
    yield
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_text(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings)
    logging.getLogger("worker.steps").info("study %s reported", "abc")
    logging.getLogger("worker.steps").debug("too fine")
    (line,) = capsys.readouterr().err.splitlines()
    assert "study abc reported" in line
    assert "worker.steps" in line


def test_json(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings.model_copy(update={"log_json": True}))
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("worker").exception("it broke")
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert (record["event"], record["level"], record["logger"]) == ("it broke", "error", "worker")
    assert "ZeroDivisionError" in record["exception"]
    assert record["timestamp"].endswith("Z")


def test_twice_is_not_twice_the_lines(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        configure_logging(settings)
    logging.getLogger("worker").info("once")
    assert capsys.readouterr().err.count("once") == 1


@pytest.mark.parametrize("name", ["PIL.PngImagePlugin", "pydicom", "watchdog.observers", "alembic.runtime", "kombu"])
def test_libraries_that_repeat_file_contents_or_names_are_turned_down(
    settings: Settings, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    configure_logging(settings, logging.DEBUG)
    logging.getLogger(name).info("Anna Test.dcm")
    logging.getLogger("worker").debug("ours")
    assert "Anna" not in (text := capsys.readouterr().err)
    assert "ours" in text


@pytest.mark.parametrize(
    ("options", "level"),
    [([], logging.INFO), (["-l", "WARNING"], logging.WARNING), (["-l", "DEBUG"], logging.DEBUG)],
)
def test_the_level_is_what_celerys_option_says_and_else_info(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, options: list[str], level: int
) -> None:
    monkeypatch.setattr(signals.setup_logging, "receivers", [])
    with build_app(settings) as app:
        context = worker_command.make_context("worker", list(options), obj=SimpleNamespace(app=app))
    with context:
        signals.setup_logging.send(sender=None, loglevel=context.params["loglevel"])
    assert logging.getLogger().level == level


@pytest.fixture
def start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Celery's signal before a worker starts, with a database that gives such answers, one after the other."""
    monkeypatch.setattr(signals.celeryd_init, "receivers", [])

    def start(url: str | None, *answers: Exception | None) -> None:
        monkeypatch.setattr(observability, "migrate", Mock(side_effect=answers))
        with build_app(settings.model_copy(update={"database_url": url})):
            signals.celeryd_init.send(sender=None)

    return start


@pytest.fixture
def stored(services: ClockedServices) -> Path:
    """The store of a home whose database names a stored file."""
    Home(services).drop("scan.png", png(1))
    run_stage(INTAKE, services, lambda _: None)
    return services.settings.store


@pytest.mark.parametrize("is_mount_point", [False, True])
def test_a_store_that_is_away_ends_the_start_and_nothing_takes_its_place(
    start: Callable[..., None], stored: Path, is_mount_point: bool
) -> None:
    moved = stored.rename(stored.with_name("moved"))
    if is_mount_point:
        stored.mkdir()
    with pytest.raises(SystemExit, match=r"is not their store: it is missing or empty\. Mount it or move it back"):
        start(None, None)
    assert stored.exists() is is_mount_point
    assert not is_mount_point or list(stored.iterdir()) == []
    shutil.rmtree(stored, ignore_errors=True)
    moved.rename(stored)
    start(None, None)


def test_a_store_that_is_gone_for_good_is_made_anew_by_its_marker(start: Callable[..., None], stored: Path) -> None:
    shutil.rmtree(stored)
    stored.mkdir()
    (stored / MARKER).touch()
    start(None, None)
    assert stat.S_IMODE(stored.stat().st_mode) == 0o700


def test_a_store_of_an_earlier_version_gets_its_marker(start: Callable[..., None], stored: Path) -> None:
    (stored / MARKER).unlink()
    start(None, None)
    assert ObjectStore(stored).is_there()


def test_a_new_home_gets_its_store(start: Callable[..., None], services: ClockedServices) -> None:
    shutil.rmtree(services.settings.store)
    start(None, None)
    assert services.objects.is_there()


def away(text: str) -> OperationalError:
    return OperationalError("", {}, Exception(text))


def test_a_database_server_that_does_not_answer_at_start_is_waited_for(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(observability.time, "sleep", waits.append)
    with caplog.at_level(logging.WARNING):
        start("postgresql+psycopg://host/triage", *[away("connection refused\nis it running?")] * 6, None)
    assert waits == [1, 2, 4, 8, 16, 16]
    assert caplog.messages[0] == "the database does not answer (connection refused); trying again in 1 s"


def test_a_database_file_that_somebody_has_locked_at_start_is_waited_for(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(observability.time, "sleep", Mock())
    file = tmp_path / "triage.sqlite"
    with closing(sqlite3.connect(file, timeout=0)) as holder, closing(sqlite3.connect(file, timeout=0)) as other:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("BEGIN EXCLUSIVE")
    start(None, OperationalError("", {}, locked.value), None)


def test_a_database_file_that_cannot_be_opened_ends_the_start(start: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="does not answer"):
        start(None, away("unable to open database file"))


def test_a_database_of_a_later_version_ends_the_start(start: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="The worker cannot start: it is newer"):
        start(None, NewerDatabaseError("it is newer"))
