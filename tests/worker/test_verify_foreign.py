"""`verify` beside what other people put into the outbox: files of their programs, pipes, links to elsewhere."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

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


def test_a_link_that_comes_after_the_audit_is_not_followed_either(home: Home, tmp_path: Path) -> None:
    theirs = made(tmp_path / "theirs" / OWN_PART)
    (home.outbox / "rejected" / "00000099").symlink_to(theirs.parent)
    found = Finding(Trouble.PART_LEFT_OVER, f"outbox/rejected/00000099/{OWN_PART}")
    assert repair(home.services.settings, [found], theirs.stat().st_mtime + 7200, lambda: None, lambda _: False) == []
    assert theirs.is_file()


def test_a_folder_is_not_removed_through_a_link_that_comes_after_the_audit(home: Home, tmp_path: Path) -> None:
    theirs = made(tmp_path / "theirs" / "00000099" / "scan.png")
    shutil.rmtree(home.outbox / "rejected")
    (home.outbox / "rejected").symlink_to(tmp_path / "theirs")
    found = Finding(Trouble.PURGE_LEFT_OVER, "outbox/rejected/00000099")
    assert repair(home.services.settings, [found], time.time(), lambda: None, lambda _: False) == []
    assert theirs.is_file()


def test_a_folder_that_cannot_be_removed_does_not_count_as_repaired(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(home.services.settings.claimed / "0123" / "scan.png")
    found = Finding(Trouble.CLAIM_LEFT_OVER, "inbox/.claimed/0123")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", Mock(side_effect=PermissionError))
        assert repair(home.services.settings, [found], time.time(), lambda: None, lambda _: False) == []
    assert repair(home.services.settings, [found], time.time(), lambda: None, lambda _: False) == [found]
    assert not (home.services.settings.claimed / "0123").exists()


def test_the_unfinished_files_of_others_are_theirs(home: Home) -> None:
    theirs = made(home.outbox / "reports" / f".{SECRET}.pdf.part")
    assert home.troubles() == set()
    assert SECRET not in home.verify("--repair").output
    assert theirs.is_file()
