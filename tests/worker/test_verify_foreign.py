"""`verify` beside what other people put into the outbox: files of their programs, pipes, links to elsewhere."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.home import Home, made, old
from tests.worker.scans import png
from worker.findings import Finding, Trouble
from worker.verify_repair import repair

SECRET = "Doe^Jane"
ANSWER_SECONDS = 120
FILES_OF_PROGRAMS = (".DS_Store", "Thumbs.db", "~$notes.docx")
OWN_PART = ".0123456789abcdef0123456789abcdef.part"


@pytest.fixture
def home(services: ClockedServices) -> Home:
    home = Home(services)
    home.drop("scan.png", png(1))
    home.drop(f"{SECRET}.txt", b"no picture")
    home.work()
    return home


@pytest.fixture
def answers_soon() -> Iterator[None]:
    """Whoever opens a pipe that nobody writes to waits for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(ANSWER_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.mark.parametrize("name", FILES_OF_PROGRAMS)
def test_files_of_other_programs_are_no_finding(home: Home, name: str) -> None:
    for folder in ("", "reports", "rejected", home.rejected().relative_to(home.outbox)):
        made(home.outbox / folder / name)
    assert home.troubles("--sums") == set()


def test_a_superscript_is_no_number_of_a_file(home: Home) -> None:
    old(made(home.outbox / "rejected" / "²" / "scan").parent)
    assert home.troubles() == {Trouble.REJECTION_ORPHAN}


@pytest.mark.usefixtures("answers_soon")
@pytest.mark.parametrize(
    ("place", "trouble"),
    [
        (lambda home: home.report(), Trouble.REPORT_MISSING),
        (lambda home: home.rejected() / f"{SECRET}.txt", Trouble.REJECTION_INCOMPLETE),
        (lambda home: home.rejected() / "reason.txt", Trouble.REJECTION_INCOMPLETE),
        (lambda home: home.outbox / "index.html", Trouble.PAGE_STALE),
    ],
    ids=["report", "rejected", "reason", "page"],
)
@pytest.mark.parametrize("put", ["pipe", "link"])
def test_what_is_no_file_counts_as_nothing(home: Home, tmp_path: Path, place, trouble: Trouble, put: str) -> None:
    path = place(home)
    moved = shutil.move(path, tmp_path / "elsewhere")
    os.mkfifo(path) if put == "pipe" else path.symlink_to(moved)
    assert home.troubles("--sums") == {trouble}


@pytest.mark.usefixtures("answers_soon")
def test_a_pipe_beside_a_rejected_file_is_let_be(home: Home) -> None:
    os.mkfifo(home.rejected() / "a pipe")
    assert home.troubles("--sums") == set()


@pytest.mark.parametrize("name", [OWN_PART, f".{SECRET}.part"])
@pytest.mark.parametrize("place", ["reports", "rejected", "rejected/00000099"])
def test_nothing_is_removed_through_a_link(home: Home, tmp_path: Path, place: str, name: str) -> None:
    theirs = made(tmp_path / "theirs" / name)
    shutil.rmtree(home.outbox / place, ignore_errors=True)
    (home.outbox / place).symlink_to(theirs.parent)
    assert SECRET not in home.verify("--repair", "--sums").output
    assert theirs.is_file()


def repaired(home: Home, trouble: Trouble, subject: str) -> list[Finding]:
    in_two_hours = time.time() + 7200
    return repair(home.services.settings, [Finding(trouble, subject)], in_two_hours, lambda: None, lambda _: False)


@pytest.mark.parametrize(
    ("trouble", "subject", "link"),
    [
        (Trouble.PART_LEFT_OVER, f"outbox/rejected/00000099/{OWN_PART}", "outbox/rejected/00000099"),
        (Trouble.PURGE_LEFT_OVER, "outbox/reports/0123456789ab-r7.pdf", "outbox/reports"),
        (Trouble.PURGE_LEFT_OVER, "outbox/rejected/00000099", "outbox/rejected"),
        (Trouble.PURGE_LEFT_OVER, "outbox/rejected/00000099", "outbox/rejected/00000099"),
        (Trouble.CLAIM_LEFT_OVER, "inbox/.claimed/00000099", "inbox/.claimed"),
        (Trouble.UNPACKING_LEFT_OVER, "store/.unpacking/00000099", "store/.unpacking/00000099"),
    ],
)
def test_a_link_that_comes_after_the_audit_is_not_followed_either(
    home: Home, tmp_path: Path, trouble: Trouble, subject: str, link: str
) -> None:
    files = (OWN_PART, "0123456789ab-r7.pdf", "00000099/scan")
    theirs = [made(tmp_path / "theirs" / name) for name in files]
    place = home.path / link
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "theirs")
    assert repaired(home, trouble, subject) == []
    assert [path for path in theirs if not path.is_file()] == []


def test_nor_is_one_that_comes_while_a_folder_is_removed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, rejected = made(tmp_path / "theirs" / "00000099" / "scan"), home.outbox / "rejected"
    made(rejected / "00000099" / "scan")
    remove = shutil.rmtree

    def swap_and_remove(*arguments: Any, **options: Any) -> None:
        rejected.rename(tmp_path / "moved")
        rejected.symlink_to(tmp_path / "theirs")
        remove(*arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", swap_and_remove)
    assert len(repaired(home, Trouble.PURGE_LEFT_OVER, "outbox/rejected/00000099")) == 1
    assert theirs.is_file()
    assert not (tmp_path / "moved" / "00000099").exists()


@pytest.mark.usefixtures("answers_soon")
def test_a_pipe_in_the_place_of_a_folder_is_not_waited_for(home: Home) -> None:
    os.mkfifo(home.outbox / "rejected" / "00000099")
    began = time.monotonic()
    assert repaired(home, Trouble.PURGE_LEFT_OVER, "outbox/rejected/00000099") == []
    assert time.monotonic() - began < ANSWER_SECONDS, "shutil.rmtree takes the alarm for an error of the disk"


def test_the_unfinished_files_of_others_are_theirs(home: Home) -> None:
    theirs = made(home.outbox / "reports" / f".{SECRET}.pdf.part")
    assert home.troubles() == set()
    assert SECRET not in home.verify("--repair").output
    assert theirs.is_file()
