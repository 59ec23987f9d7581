"""A stored object that vanished ends in a sentence; a store that is away altogether is waited for."""

import json
import shutil
from pathlib import Path

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.home import Home
from tests.worker.scans import archive, png
from worker.errors import TransientError
from worker.pipeline import ANALYSE, DELIVER, INTAKE, REJECT, REPORT, Stage
from worker.stage_runner import run_stage
from worker.steps import intake
from worker.steps.lost import LOST_FILE, LOST_IMAGE, LOST_REPORT
from worker.store.models import FileState, Instance, Report, ScanFile, Study, StudyState

MANY = 8
OTHER = 2


@pytest.fixture
def home(services: ClockedServices) -> Home:
    """A picture and a file that is none, stored; another picture is reported, so that the store has other objects."""
    home = Home(services)
    home.drop("reported.png", png(OTHER))
    home.work()
    home.drop("scan.png", png(1))
    home.drop("notes.txt", b"no picture")
    run_stage(INTAKE, services, lambda _: None)
    services.wait(60)
    return home


def run(home: Home, *stages: Stage) -> None:
    for stage in stages:
        run_stage(stage, home.services, lambda _: None)


def raise_transient(*_: object) -> None:
    raise TransientError("not now")


def again_and_again(home: Home, stage: Stage) -> None:
    for _ in range(MANY):
        run(home, stage)
        home.services.wait(1000)


def waiting(home: Home) -> Study:
    with home.services.session.begin() as session:
        return session.query(Study).filter(Study.state != StudyState.REPORTED).one()


def stored(home: Home, table: type[Instance] | type[Report]) -> Path:
    with home.services.session.begin() as session:
        return home.services.objects.path_of(session.query(table).order_by(table.id.desc()).first().sha256)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("before", "stage", "table", "sentence"),
    [
        ((), ANALYSE, Instance, LOST_IMAGE),
        ((ANALYSE,), REPORT, Instance, LOST_IMAGE),
        ((ANALYSE, REPORT), DELIVER, Report, LOST_REPORT),
    ],
    ids=["analyse", "report", "deliver"],
)
def test_a_study_whose_bytes_vanished_fails_and_can_be_read_again(
    home: Home, before: tuple[Stage, ...], stage: Stage, table: type[Instance] | type[Report], sentence: str
) -> None:
    run(home, *before)
    study, lost = waiting(home), stored(home, table)
    content = lost.read_bytes()
    lost.unlink()
    again_and_again(home, stage)
    assert (waiting(home).state, waiting(home).failure) == (StudyState.FAILED, sentence)
    if table is Instance:
        lost.write_bytes(content)
    assert home.call("retry", study.public_id).exit_code == 0
    home.services.clock = study.waiting_since.replace(year=2100)
    home.work()
    with home.services.session.begin() as session:
        assert {row.state for row in session.query(Study)} == {StudyState.REPORTED}


@pytest.mark.parametrize("stage", [ANALYSE, REPORT, DELIVER, REJECT], ids=lambda stage: stage.name)
@pytest.mark.parametrize("leave", ["nothing", "an empty mount point", "a mount point with objects"])
def test_a_store_that_is_away_is_waited_for(home: Home, stage: Stage, leave: str) -> None:
    run(home, *{ANALYSE: (), REPORT: (ANALYSE,), DELIVER: (ANALYSE, REPORT), REJECT: ()}[stage])
    store = home.services.settings.store
    away = store.rename(store.with_name("away"))
    if leave != "nothing":
        store.mkdir()
    if leave == "a mount point with objects":
        (store / "ab").mkdir()
    again_and_again(home, stage)
    shutil.rmtree(store, ignore_errors=True)
    away.rename(store)
    home.work()
    with home.services.session.begin() as session:
        assert {row.state for row in session.query(Study)} == {StudyState.REPORTED}
    assert home.troubles("--sums") == set()


@pytest.mark.parametrize("leave", ["nothing", "an empty mount point"])
def test_files_that_come_while_the_store_is_away_wait_and_harm_no_others(
    home: Home, caplog: pytest.LogCaptureFixture, leave: str
) -> None:
    store = home.services.settings.store
    run(home, ANALYSE)
    away = store.rename(store.with_name("away"))
    if leave != "nothing":
        store.mkdir()
    home.drop("late.png", png(3))
    home.drop("late.zip", archive({"1.png": png(4), "2.png": png(5)}))
    home.drop("no scan.txt", b"no picture either")
    for _ in range(MANY):
        run(home, INTAKE, ANALYSE, REPORT, DELIVER, REJECT)
        home.services.wait(1000)
    assert "mount it or move it back" in caplog.text
    assert leave == "nothing" or list(store.iterdir()) == []
    assert store.exists() is (leave != "nothing")
    shutil.rmtree(store, ignore_errors=True)
    away.rename(store)
    home.work()
    home.services.wait(1000)
    home.work()
    found = json.loads(home.verify("--sums", "--json").stdout)
    assert found["findings"] == []
    assert {name: count for name, count in found["files"].items() if count} == {
        "reported": 5, "rejected": 2, "unpacked": 1,
    }  # fmt: skip


def test_a_rejected_file_that_vanished_is_said_to_have(home: Home) -> None:
    with home.services.session.begin() as session:
        row = session.query(ScanFile).filter_by(state=FileState.REJECTING).one()
    lost = home.services.objects.path_of(row.sha256 or "")
    content = lost.read_bytes()
    lost.unlink()
    again_and_again(home, REJECT)
    home.work()
    assert (home.rejected() / "reason.txt").read_text().endswith(f"{LOST_FILE}\n")
    assert home.troubles() == {"object_missing", "rejection_incomplete"}
    lost.write_bytes(content)
    assert home.verify("--repair").exit_code == 0
    assert (home.rejected() / "notes.txt").read_bytes() == content


def test_a_file_that_vanished_before_it_was_read_is_said_to_have(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.drop("late.png", png(3))
    with monkeypatch.context() as patch:
        patch.setattr(intake, "read_instance", raise_transient)
        run(home, INTAKE)
    with home.services.session.begin() as session:
        row = session.query(ScanFile).filter_by(state=FileState.CLAIMED).one()
    home.services.objects.path_of(row.sha256 or "").unlink()
    again_and_again(home, INTAKE)
    again_and_again(home, REJECT)
    home.work()
    texts = [path.read_text() for path in home.services.settings.outbox.glob("rejected/*/reason.txt")]
    (said,) = [text for text in texts if "vanished before it was read" in text]
    assert said.endswith(f"{LOST_FILE}\n")


def test_one_lost_image_does_not_hold_up_the_others_of_its_claim(home: Home) -> None:
    home.drop("another.png", png(3))
    run(home, INTAKE)
    home.services.wait(60)
    with home.services.session.begin() as session:
        last, first = session.query(Study).filter(Study.state == StudyState.COLLECTING).order_by(Study.id.desc())
        home.services.objects.path_of(first.instances[0].sha256).unlink()
    run(home, ANALYSE)
    with home.services.session.begin() as session:
        states = [session.get_one(Study, row.id).state for row in (first, last)]
    assert states == [StudyState.COLLECTING, StudyState.ANALYSED]
