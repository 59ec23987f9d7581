"""`verify --repair`: what the outbox lacks is delivered again, as long as the store has it, and only then."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from tests.worker.conftest import ClockedServices
from tests.worker.home import Home
from tests.worker.scans import png
from worker.findings import Finding, Trouble
from worker.redeliver import Redelivery
from worker.store.audit import take_snapshot
from worker.store.models import Chore, ChoreState, FileState, Report, ScanFile

SECRET = "Doe^Jane"
REFUSED = b"no picture"


@pytest.fixture
def home(services: ClockedServices) -> Home:
    home = Home(services)
    home.drop("scan.png", png(1))
    home.drop(f"{SECRET}.txt", REFUSED)
    home.work()
    return home


def contents(home: Home) -> dict[str, bytes]:
    return {
        str(path.relative_to(home.outbox)): path.read_bytes()
        for path in home.outbox.rglob("*")
        if path.is_file() and path.name != "index.html"
    }


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


DAMAGE: dict[str, Callable[[Home], object]] = {
    "the outbox removed": lambda home: shutil.rmtree(home.outbox),
    "everything in it removed": lambda home: [shutil.rmtree(path) for path in home.outbox.iterdir() if path.is_dir()],
    "a report removed": lambda home: home.report().unlink(),
    "a report changed": lambda home: spoil(home.report()),
    "a rejected file removed": lambda home: (home.rejected() / f"{SECRET}.txt").unlink(),
    "a rejected file changed": lambda home: spoil(home.rejected() / f"{SECRET}.txt"),
    "its reason removed": lambda home: (home.rejected() / "reason.txt").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_repair_delivers_again(home: Home, damage: Callable[[Home], object]) -> None:
    before = contents(home)
    damage(home)
    result = home.verify("--sums", "--repair")
    assert result.exit_code == 0, result.output
    assert "Repaired." in result.stdout
    assert SECRET not in result.output
    assert contents(home).items() >= before.items()
    home.work()
    assert home.troubles("--sums") == set()
    assert json.loads(home.verify("--repair", "--json").stdout)["repaired"] == []


def test_the_permissions_are_those_of_a_delivery(home: Home) -> None:
    before = {path: path.stat().st_mode for path in (home.outbox, home.report(), home.report().parent, home.rejected())}
    shutil.rmtree(home.outbox)
    home.verify("--repair")
    assert {path: path.stat().st_mode for path in before} == before


def test_reports_of_earlier_revisions_come_back_too(home: Home) -> None:
    assert home.call("reprocess", home.report().name[:12]).exit_code == 0
    home.services.clock = datetime.now(UTC) + timedelta(minutes=1)
    home.work()
    assert len(list(home.outbox.glob("reports/*.pdf"))) == 2
    before = contents(home)
    shutil.rmtree(home.outbox / "reports")
    assert home.verify("--repair").exit_code == 0
    assert contents(home) == before


@pytest.mark.parametrize("break_it", [Path.unlink, spoil], ids=["lost", "damaged"])
def test_what_the_store_has_not_is_not_delivered(home: Home, break_it: Callable[[Path], object]) -> None:
    break_it(home.stored_report())
    home.report().unlink()
    assert home.verify("--repair").exit_code == 1
    assert not list(home.outbox.glob("reports/*"))


def test_a_file_that_was_refused_before_it_was_stored_cannot_come_back(home: Home) -> None:
    home.update(ScanFile, ScanFile.state == FileState.REJECTED, sha256=None)
    (home.rejected() / "reason.txt").unlink()
    assert home.verify("--repair").exit_code == 0, "but its reason can"
    shutil.rmtree(home.rejected())
    assert home.verify("--repair").exit_code == 1


def test_no_link_is_followed(home: Home, tmp_path: Path) -> None:
    shutil.move(home.outbox / "reports", tmp_path / "theirs")
    (home.outbox / "reports").symlink_to(tmp_path / "theirs")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "theirs").iterdir()}
    assert home.verify("--repair").exit_code == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "theirs").iterdir()} == before


def test_what_was_purged_since_the_audit_does_not_come_back(home: Home) -> None:
    report = home.report()
    with home.services.session.begin() as session:
        snapshot = take_snapshot(session)
    report.unlink()
    with home.services.session.begin() as session:
        session.execute(delete(Report))
        session.execute(delete(ScanFile).where(ScanFile.state == FileState.REJECTED))
    shutil.rmtree(home.rejected())
    deliver_again = Redelivery(home.services.settings, snapshot, home.services.session.begin)
    assert not deliver_again(Finding(Trouble.REPORT_MISSING, f"reports/{report.name}"))
    assert not deliver_again(Finding(Trouble.REJECTION_INCOMPLETE, "file 2"))
    assert contents(home) == {}


def test_the_page_is_asked_for(home: Home) -> None:
    shutil.rmtree(home.outbox)
    home.verify("--repair")
    with home.services.session.begin() as session:
        assert session.query(Chore).one().state == ChoreState.DUE
