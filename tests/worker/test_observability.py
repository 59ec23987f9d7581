"""What operators see: one log line an event, as text or JSON."""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from celery import signals
from celery.bin.worker import worker as worker_command
from sqlalchemy.exc import OperationalError

from worker import observability
from worker.app import build_app
from worker.migrate import NewerDatabaseError
from worker.observability import QUIET_LOGGERS, configure_logging
from worker.settings import Settings


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
