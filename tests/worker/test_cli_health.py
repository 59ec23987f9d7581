"""`health`: exit 0 only when work gets done; the broker's queue lengths."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kombu import Connection
from typer.testing import CliRunner, Result

from tests.worker.rows import LONG_AGO, Database
from worker.cli import app
from worker.cli.broker import queue_lengths
from worker.cli.health import PROGRESS
from worker.pipeline import STAGES
from worker.settings import Settings
from worker.store import queries
from worker.store.models import ScanFile, Study

SOURCES = Path(__file__).resolve().parents[2] / "worker"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TRIAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "home")


def health(database: Database, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["health", *arguments], env={"TRIAGE_HOME": str(database.home)} | environment)


def seconds_ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_an_idle_worker_is_healthy(database: Database) -> None:
    study = database.receive("a.png")
    database.analyse(study)
    database.report(study)
    result = health(database)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Healthy")


def test_work_that_nobody_takes_is_not(database: Database) -> None:
    database.receive("a.png")
    result = health(database)
    assert result.exit_code == 1
    assert result.stderr.startswith("Work for 'analyse' has been due for ")
    assert "'inference'" in result.stderr


def test_fresh_work_may_wait_three_leases(database: Database) -> None:
    database.claim("a.png", at=seconds_ago(80))
    assert health(database).exit_code == 0
    assert health(database, TRIAGE_LEASE_SECONDS="20").exit_code == 1


def test_a_long_backlog_is_no_trouble_while_something_happens(database: Database) -> None:
    database.receive("old.png")
    with database.sessions.begin() as session:
        queries.record(session, "analysed", seconds_ago(10))
    assert health(database).exit_code == 0


def test_another_stage_at_work_does_not_hide_a_stuck_one(database: Database) -> None:
    database.receive("old.png")
    with database.sessions.begin() as session:
        queries.record(session, "received", seconds_ago(1))
    assert health(database).exit_code == 1


def test_somebody_at_one_long_study_is_work(database: Database) -> None:
    database.receive("old.png")
    database.receive("long.png")
    with database.sessions.begin() as session:
        held = session.query(Study).order_by(Study.id.desc()).first()
        assert held is not None
        held.lease_token, held.lease_until = "held", datetime.now(UTC) + timedelta(seconds=20)
    assert health(database).exit_code == 0


def test_work_that_is_not_due_yet_is_no_trouble(database: Database) -> None:
    database.claim("tried again later.png")
    with database.sessions.begin() as session:
        session.query(ScanFile).one().not_before = datetime.now(UTC) + timedelta(seconds=60)
    assert health(database).exit_code == 0


def test_a_worker_answers_for_its_own_queues(database: Database) -> None:
    database.receive("a.png")
    assert health(database, "-Q", "intake,reports").exit_code == 0
    assert health(database, "-Q", "inference").exit_code == 1
    result = health(database, "-Q", "inbox")
    assert result.exit_code == 2
    assert "intake, inference, reports" in result.stderr


def test_a_full_disk_and_a_broker_that_is_away(database: Database) -> None:
    result = health(database, TRIAGE_MIN_FREE_BYTES=str(2**60))
    assert result.exit_code == 1
    assert "Intake has stopped" in result.stderr
    result = health(database, TRIAGE_BROKER_URL="redis://:secret@127.0.0.1:1/0")
    assert (result.exit_code, result.stderr) == (1, "The broker does not answer (see TRIAGE_BROKER_URL).\n")
    result = health(database, TRIAGE_BROKER_URL="pigeon://127.0.0.1")
    assert (result.exit_code, result.stderr) == (2, "TRIAGE_BROKER_URL is not a broker URL; see docs/settings.md.\n")


def test_a_store_that_is_away(database: Database) -> None:
    study = database.receive("a.png")
    database.analyse(study)
    database.report(study)
    database.settings.store.rename(database.home / "moved")
    result = health(database)
    assert result.exit_code == 1
    assert "is not their store" in result.stderr


def test_failed_work_is_not_stuck(database: Database) -> None:
    database.fail(database.receive("a.png", at=LONG_AGO))
    assert health(database).exit_code == 0


def test_every_stage_has_its_events_and_all_of_them_are_recorded_somewhere() -> None:
    assert PROGRESS.keys() == STAGES.keys() - {"worklist"}
    text = "".join(path.read_text() for path in [*SOURCES.glob("steps/*.py"), SOURCES / "store/queries.py"])
    for kinds in PROGRESS.values():
        for kind in kinds:
            assert f'"{kind}"' in text, kind


def test_queue_lengths_of_a_server(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, broker_url="memory://")
    with Connection("memory://") as connection:
        for _ in range(3):
            connection.SimpleQueue("inference").put("bell")
        assert queue_lengths(settings) == {"intake": 0, "inference": 3, "reports": 0}


def test_queue_lengths_without_a_broker_folder(tmp_path: Path) -> None:
    assert queue_lengths(Settings(home=tmp_path)) is None
