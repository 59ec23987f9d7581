"""`verify`: every way in which database, store and outbox can disagree is named, and waste is removed on demand."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from typer.testing import CliRunner

from tests.worker.conftest import ClockedServices
from tests.worker.home import Home, made, old
from tests.worker.scans import png
from worker.cli import app
from worker.findings import SENTENCES, Trouble
from worker.store import queries
from worker.store.chores import want_worklist
from worker.store.models import Chore, ChoreState, Event, FileState, Instance, Report, ScanFile, Study, StudyState
from worker.verify import Audit, Auditor

SECRET = "Doe^Jane"


@pytest.fixture
def home(services: ClockedServices) -> Home:
    home = Home(services)
    home.drop(f"{SECRET}.png", png(1))
    home.work()
    home.drop(f"{SECRET} again.png", png(1))
    home.drop(f"{SECRET}.txt", b"no picture")
    home.work()
    return home


def test_a_home_in_order_is_clean(home: Home) -> None:
    result = home.verify("--sums")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Files: 1 reported, 1 rejected, 1 duplicate; 3 stored objects; 0 findings.\n"


def test_what_moves_on_between_the_looks_at_database_and_disk_is_no_finding(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.drop("waiting.png", png(2))
    audit = Auditor.audit

    def audit_after_work(auditor: Auditor) -> Audit:
        home.work()
        return audit(auditor)

    monkeypatch.setattr(Auditor, "audit", audit_after_work)
    assert home.troubles() == set()


def test_what_is_on_its_way_is_no_finding(home: Home) -> None:
    home.drop("waiting.png", png(2))
    found = json.loads(home.verify("--json").stdout)
    assert found == {
        "clean": True,
        "files": {"reported": 1, "rejected": 1, "duplicate": 1, "unpacked": 0, "failed": 0, "waiting": 1},
        "objects": 3,
        "findings": [],
        "repaired": [],
    }


def test_misuse_is_2() -> None:
    assert CliRunner().invoke(app, ["verify", "--colour"]).exit_code == 2


def test_without_a_database_there_is_a_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify"], env={"TRIAGE_HOME": str(tmp_path / "nowhere")})
    assert result.exit_code == 1
    assert result.stderr.startswith("There is no database at ")


def lose_the_event_of_the_archive(home: Home) -> None:
    home.update(ScanFile, ScanFile.state == FileState.READ, study_id=None)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def report_again(home: Home) -> None:
    with home.services.session.begin() as session:
        event = session.query(Event).filter_by(kind="reported").one()
        queries.record(session, "reported", event.at, event.study_id, detail=event.detail)


def forget_report(home: Home) -> None:
    with home.services.session.begin() as session:
        session.execute(delete(Report))


def forget_instance(home: Home) -> None:
    home.update(ScanFile, ScanFile.state == FileState.READ, study_id=None, state=FileState.REJECTING)
    with home.services.session.begin() as session:
        session.execute(delete(Report))
        session.execute(update(Study).values(state=StudyState.FAILED))
        for table in ("box", "prediction"):
            session.connection().exec_driver_sql(f"DELETE FROM {table}")
        session.execute(delete(Instance))


def leave_a_purged_report(home: Home) -> None:
    made(home.outbox / "reports" / "0123456789ab-r7.pdf")
    with home.services.session.begin() as session:
        queries.record(session, "purged", home.services.now(), 99, detail="0123456789ab: 1 files")


def lose_a_waiting_file(home: Home) -> None:
    home.drop("waiting.png", png(2))
    shutil.rmtree(next(home.services.settings.claimed.iterdir()))


BREAKS: dict[Trouble, Callable[[Home], object]] = {
    Trouble.UNKNOWN_STATE: lambda home: home.update(ScanFile, ScanFile.state == FileState.READ, state="odd"),
    Trouble.BYTES_MISSING: lose_a_waiting_file,
    Trouble.READ_WITHOUT_STUDY: lose_the_event_of_the_archive,
    Trouble.DUPLICATE_OF_NOTHING: lambda home: home.update(
        ScanFile, ScanFile.state == FileState.DUPLICATE, study_id=None
    ),
    Trouble.REJECTION_INCOMPLETE: lambda home: (home.rejected() / "reason.txt").unlink(),
    Trouble.STUDY_WITHOUT_IMAGE: forget_instance,
    Trouble.NO_REPORT: forget_report,
    Trouble.REPORTED_TWICE: report_again,
    Trouble.REPORT_MISSING: lambda home: home.report().unlink(),
    Trouble.OBJECT_MISSING: lambda home: home.stored_report().unlink(),
    Trouble.OBJECT_DAMAGED: lambda home: damage(home.stored_report()),
    Trouble.OBJECT_ORPHAN: lambda home: made(home.services.objects.path_of("ab" * 32)),
    Trouble.CLAIM_ORPHAN: lambda home: old(made(home.services.settings.claimed / ("c" * 32) / SECRET).parent),
    Trouble.CLAIM_LEFT_OVER: lambda home: old(made(home.services.settings.claimed / a_claim(home) / SECRET).parent),
    Trouble.REPORT_ORPHAN: lambda home: made(home.outbox / "reports" / "0123456789ab-r7.pdf"),
    Trouble.REPORT_DAMAGED: lambda home: damage(home.report()),
    Trouble.REJECTION_ORPHAN: lambda home: old(made(home.outbox / "rejected" / "00000099" / SECRET).parent),
    Trouble.REJECTION_DAMAGED: lambda home: damage(home.rejected() / f"{SECRET}.txt"),
    Trouble.PART_LEFT_OVER: lambda home: made(home.services.settings.store / ".0.part"),
    Trouble.UNPACKING_LEFT_OVER: lambda home: old(made(home.services.settings.unpacking / ("d" * 32) / "0000").parent),
    Trouble.PURGE_LEFT_OVER: leave_a_purged_report,
    Trouble.PAGE_STALE: lambda home: home.update(Study, Study.id > 0, priority="review", patient_name=SECRET),
}


def a_claim(home: Home) -> str:
    with home.services.session.begin() as session:
        return session.query(ScanFile).first().claim_id  # type: ignore[union-attr]


def test_there_is_a_break_and_a_sentence_for_every_trouble() -> None:
    assert BREAKS.keys() == SENTENCES.keys() == set(Trouble)


@pytest.mark.parametrize("trouble", BREAKS, ids=str)
def test_each_break_is_named_without_a_name(home: Home, trouble: Trouble) -> None:
    BREAKS[trouble](home)
    result = home.verify("--sums")
    assert result.exit_code == 1
    assert SENTENCES[trouble] in result.stdout
    assert SECRET not in result.output
    assert trouble in home.troubles("--sums")


@pytest.mark.parametrize("name", [f"{SECRET}.pdf", "Wächter-r1.pdf", "DoeJane12345-r2.pdf"])
def test_people_may_put_files_of_their_own_beside_reports(home: Home, name: str) -> None:
    made(home.outbox / "reports" / name)
    made(home.outbox / "reports" / "notes.txt")
    result = home.verify()
    assert name not in result.output
    assert "reports: a report in the outbox that no row names." in result.stdout


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble.OBJECT_ORPHAN,
        Trouble.PART_LEFT_OVER,
        Trouble.UNPACKING_LEFT_OVER,
        Trouble.CLAIM_LEFT_OVER,
        Trouble.PURGE_LEFT_OVER,
    ],
)
def test_repair_removes_waste(home: Home, trouble: Trouble) -> None:
    BREAKS[trouble](home)
    result = home.verify("--repair")
    assert result.exit_code == 0
    assert "Repaired." in result.stdout
    assert home.troubles("--sums") == set()


def leave_a_purged_rejection(home: Home) -> None:
    made(home.outbox / "rejected" / "00000099" / SECRET)
    with home.services.session.begin() as session:
        queries.record(session, "purged", home.services.now(), file_id=99)


@pytest.mark.parametrize(
    "leave",
    [
        BREAKS[Trouble.UNPACKING_LEFT_OVER],
        BREAKS[Trouble.CLAIM_LEFT_OVER],
        BREAKS[Trouble.PURGE_LEFT_OVER],
        BREAKS[Trouble.OBJECT_ORPHAN],
        leave_a_purged_rejection,
    ],
    ids=["unpacking", "claim", "report", "object", "rejected"],
)
def test_what_could_not_be_removed_is_not_called_repaired(
    home: Home, monkeypatch: pytest.MonkeyPatch, leave: Callable[[Home], object]
) -> None:
    def refuse(path: str, **_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    leave(home)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        result = home.verify("--repair")
    assert result.exit_code == 1
    assert "Repaired." not in result.stdout
    assert SECRET not in result.output
    assert home.verify("--repair").exit_code == 0
    assert home.troubles() == set()


def test_a_delivery_that_was_cut_short_is_waste_and_no_rejected_file(home: Home) -> None:
    made(home.rejected() / ".0.part")
    assert home.troubles("--sums") == {Trouble.PART_LEFT_OVER}
    assert home.verify("--repair").exit_code == 0
    assert home.troubles("--sums") == set()


def test_the_marker_of_the_store_is_no_waste(home: Home) -> None:
    home.age(1)
    assert home.verify("--repair").exit_code == 0
    assert home.services.objects.is_there()


def test_what_is_young_may_be_work_in_hand_and_stays(home: Home) -> None:
    orphan = home.services.objects.path_of("ab" * 32)
    made(orphan)
    os.utime(orphan)
    assert home.verify("--repair").exit_code == 0
    assert orphan.is_file()


def test_repair_asks_for_the_page(home: Home) -> None:
    BREAKS[Trouble.PAGE_STALE](home)
    assert home.verify("--repair").exit_code == 0
    with home.services.session.begin() as session:
        assert session.query(Chore).one().state == ChoreState.DUE
    home.work()
    assert home.troubles() == set()


def test_repair_leaves_alone_what_a_person_must_judge(home: Home) -> None:
    home.update(ScanFile, ScanFile.state == FileState.READ, state="odd")
    made(home.outbox / "reports" / "0123456789ab-r7.pdf")
    assert home.verify("--repair").exit_code == 1
    assert home.troubles() == {Trouble.UNKNOWN_STATE, Trouble.REPORT_ORPHAN}


def test_a_page_that_is_due_is_not_compared(home: Home) -> None:
    BREAKS[Trouble.PAGE_STALE](home)
    with home.services.session.begin() as session:
        want_worklist(session, home.services.now())
    assert home.troubles() == set()


def test_the_page_names_a_duplicate(home: Home) -> None:
    assert len(re.findall(rf"{re.escape(SECRET)} again\.png", (home.outbox / "index.html").read_text())) == 1


def test_an_archive_is_accounted_for(home: Home) -> None:
    from tests.worker.scans import archive

    home.drop("study.zip", archive({"one.png": png(5), "two.txt": b"text"}))
    home.work()
    result = home.verify("--sums")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Files: 2 reported, 2 rejected, 1 duplicate, 1 unpacked;")
