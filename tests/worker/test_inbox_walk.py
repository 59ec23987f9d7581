"""Folders nested as deep as anybody likes: the inbox is looked into so far, and nothing of the worker stops."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.test_inbox import Watching
from worker import inbox_files
from worker.cli.doctor.lines import State
from worker.cli.doctor.watching import check_watching
from worker.inbox import ADOPT_AFTER_SECONDS
from worker.inbox_walk import MOST_LEVELS, MOST_PATH_BYTES
from worker.settings import WatchMode

FAR_TOO_DEEP = sys.getrecursionlimit() + 100


def nest(folder: Path, levels: int, name: str = "a") -> None:
    """Folders in one another, deeper than any path can say, with a file in the deepest."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("Anna Test.png", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def raze(folder: Path) -> None:
    """Remove what `nest` made: `shutil.rmtree`, and so pytest's clean-up, recurses."""
    folder = folder.rename(folder.with_name(".razed"))
    while folder.is_dir():
        inner = next((entry for entry in folder.iterdir() if entry.is_dir()), None)
        if inner is not None:
            inner.rename(folder.with_name(".inner"))
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
        if inner is not None:
            folder.with_name(".inner").rename(folder)


@pytest.fixture
def watching(services: ClockedServices) -> Iterator[Watching]:
    services.settings.rescan_seconds = 0.05
    watching = Watching(services)
    yield watching
    watching.inbox.close()
    for name in ("a", "b" * 255):
        if (watching.folder / name).is_dir():
            raze(watching.folder / name)


class TestListing:
    def test_files_down_to_the_last_level(self, tmp_path: Path) -> None:
        deepest = tmp_path.joinpath(*["a"] * MOST_LEVELS)
        (deepest / "a").mkdir(parents=True)
        (deepest / "taken.png").touch()
        (deepest / "a" / "left.png").touch()
        assert list(inbox_files.list_inbox(tmp_path)) == [deepest / "taken.png"]
        assert list(inbox_files.list_inbox(deepest.parent, MOST_LEVELS - 1)) == [deepest / "taken.png"]
        assert inbox_files.folders_too_deep(inbox_files.folders(tmp_path)) == 1

    def test_what_is_taken_can_be_claimed_and_let_go(self, tmp_path: Path) -> None:
        inbox, names = tmp_path / "inbox", ["a" * 40] * MOST_LEVELS
        (inbox / ".claimed").mkdir(parents=True)
        inbox.joinpath(*names).mkdir(parents=True)
        inbox.joinpath(*names, "x.png").touch()
        (path,) = inbox_files.list_inbox(inbox)
        claim_id = inbox_files.claim(inbox, inbox / ".claimed", path)
        assert claim_id is not None
        inbox_files.forget_claim(inbox / ".claimed", claim_id)
        assert list((inbox / ".claimed").iterdir()) == []

    def test_paths_longer_than_the_kernel_takes(self, watching: Watching) -> None:
        nest(watching.folder, 30, "b" * 255)
        assert list(inbox_files.list_inbox(watching.folder)) == []
        assert inbox_files.folders_too_deep(inbox_files.folders(watching.folder)) == 1
        assert 2 * MOST_PATH_BYTES < 30 * 255


@pytest.mark.parametrize("watch", list(WatchMode))
class TestDeeperThanRecursionGoes:
    def test_before_the_start(self, watching: Watching, watch: WatchMode, caplog: pytest.LogCaptureFixture) -> None:
        watching.services.settings.watch = watch
        nest(watching.folder, FAR_TOO_DEEP)
        watching.inbox.open()
        (watching.folder / "good.png").write_bytes(b"bytes")
        watching.look_until_taken("good.png")
        for _ in range(3):
            time.sleep(watching.services.settings.rescan_seconds)
            watching.inbox.look()
        assert caplog.text.count("folders below 64 levels, or of too long a path, are left: 1") == 1
        assert "Anna" not in caplog.text

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_while_it_runs(self, watching: Watching, watch: WatchMode) -> None:
        watching.services.settings.watch = watch
        watching.inbox.open()
        watching.inbox.look()
        nest(watching.folder, FAR_TOO_DEEP)
        for name in ("good.png", "later.png"):
            (watching.folder / name).write_bytes(b"bytes")
            watching.look_until_taken(name)


def test_polling_takes_over_from_a_watch_that_cannot_be(
    watching: Watching, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deep:
        def __init__(self) -> None:
            raise RecursionError

    monkeypatch.setattr("worker.inbox_watch.Observer", Deep)
    watching.services.settings.rescan_seconds = 1e9
    watching.inbox.open()
    watching.inbox.look()
    (watching.folder / "good.png").write_bytes(b"bytes")
    watching.look_until_taken("good.png")
    assert "no kernel events (folders nested too deeply), looking regularly instead" in caplog.text


def test_claims_are_adopted_though_the_inbox_cannot_be_listed(
    watching: Watching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "Anna Test.jpg")

    claim = watching.services.settings.claimed / ("a" * 32)
    claim.mkdir()
    (claim / "left.png").touch()
    os.utime(claim, (0, 0))
    assert ADOPT_AFTER_SECONDS > 0
    monkeypatch.setattr(inbox_files, "folders", refuse)
    with caplog.at_level(logging.WARNING):
        watching.look_until_taken("left.png")
    assert "EACCES" in caplog.text


def test_doctor_counts_them(watching: Watching) -> None:
    nest(watching.folder, FAR_TOO_DEEP)
    lines = list(check_watching(watching.services.settings))
    (line,) = [line for line in lines if line.state is State.WARNING]
    assert line.sentence.startswith("Folders of the inbox nested too deeply (below 64 levels")
    assert "): 1. What is in them" in line.sentence
