"""The harness itself: it sees what is lost and what is doubled, and makes the table from its record."""

from pathlib import Path

import pytest
from sqlalchemy import update

from tests.chaos.drops import Drop, pictures
from tests.chaos.ground import Ground
from tests.chaos.record import RECORD, Run, fault_table, read_record, record
from tests.system.deployment import Deployment
from tests.worker.scans import FakePredictor
from worker.folders import make_folders
from worker.inbox import Inbox
from worker.migrate import migrate
from worker.pipeline import STAGES
from worker.services import Services
from worker.stage_runner import run_stage
from worker.store import queries
from worker.store.models import Event, FileState, ScanFile, StudyState

RUNS = [Run("a kill", "embedded", 60, 0, 0, 0, 3.0), Run("a kill", "embedded", 60, 1, 2, 0, 9.4)]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Three pictures, one of them twice, taken through every stage in this process."""
    deployment = Deployment(tmp_path / "home", {"TRIAGE_SETTLE_SECONDS": "0.01", "TRIAGE_MIN_FREE_BYTES": "0"})
    settings = deployment.settings
    make_folders(settings)
    migrate(settings.resolved_database_url)
    ground = Ground(deployment)
    scans = pictures(3)
    ground.drop(scans | {"again.png": scans["scan 0.png"]})
    services = Services(settings)
    services.__dict__["predictor"] = FakePredictor()
    inbox = Inbox(services, lambda: None)
    while not deployment.is_done(4):
        inbox.look()
        for stage in STAGES.values():
            run_stage(stage, services, lambda _: None)
    return ground


def judged(ground: Ground) -> tuple[int, int]:
    return ground.lost(ground.audit()), ground.doubled()


def test_all_is_well(ground: Ground) -> None:
    assert judged(ground) == (0, 0)


def test_a_file_without_a_row_is_lost(ground: Ground) -> None:
    ground.dropped["never seen.png"] = Drop(b"")
    assert judged(ground)[0] > 0


@pytest.mark.parametrize("state", [FileState.REJECTED, FileState.CLAIMED])
def test_a_file_that_ended_otherwise_is_lost(ground: Ground, state: FileState) -> None:
    with ground.deployment.sessions.begin() as session:
        session.execute(update(ScanFile).where(ScanFile.original_name == "scan 1.png").values(state=state))
    assert judged(ground) == (1, 0)


def test_a_study_that_failed_is_lost(ground: Ground) -> None:
    with ground.deployment.sessions.begin() as session:
        file = session.query(ScanFile).filter_by(original_name="scan 1.png").one()
        assert file.study is not None
        file.study.state = StudyState.FAILED
    assert judged(ground) == (1, 0)


def test_a_report_more_than_there_are_scans_is_doubled(ground: Ground) -> None:
    (ground.deployment.settings.outbox / "reports" / "0123456789ab-r2.pdf").write_bytes(b"%PDF")
    assert judged(ground) == (0, 1)


def test_a_study_announced_twice_is_doubled(ground: Ground) -> None:
    with ground.deployment.sessions.begin() as session:
        event = session.query(Event).filter_by(kind="reported").first()
        assert event is not None
        queries.record(session, "reported", event.at, event.study_id, detail=event.detail)
    assert judged(ground) == (0, 1)
    assert [finding.trouble for finding in ground.audit().findings] == ["reported_twice"]


def test_the_record_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RECORD, raising=False)
    record(RUNS[0])  # nowhere: nothing asks for it
    monkeypatch.setenv(RECORD, str(tmp_path / "kept" / "faults.csv"))
    for run in RUNS:
        record(run)
    with (tmp_path / "kept" / "faults.csv").open(newline="") as lines:
        assert read_record(lines) == RUNS


def test_the_table_adds_runs_up() -> None:
    *_, kill, all_of_it = fault_table(RUNS).splitlines()
    assert kill == "| a kill | embedded | 2 | 120 | 1 | 2 | 0 | 6 (at most 9) |"
    assert all_of_it == "| all 1 |  | 2 | 120 | 1 | 2 | 0 | 6 (at most 9) |"
