"""A file system mounted inside the inbox: its files are copied into their claims, and a kill loses and doubles none."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.test_inbox import Watching
from worker import inbox_elsewhere
from worker.inbox_elsewhere import mend_claim
from worker.inbox_files import claim, claimed_file

SCAN = b"scan" * 1_000_000
SHARE = "scanner-3"


@pytest.fixture(params=["pretended", "mounted"])
def inbox(request: pytest.FixtureRequest, services: ClockedServices, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An inbox whose `scanner-3` is another file system, by its errors or in truth."""
    inbox = services.settings.inbox
    share = inbox / SHARE
    share.mkdir()
    if request.param == "pretended":
        real = os.rename

        def rename(source: Any, target: Any, **folders: Any) -> None:
            if "src_dir_fd" in folders and "dst_dir_fd" not in folders:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            real(source, target, **folders)

        monkeypatch.setattr(os, "rename", rename)
        monkeypatch.setattr(inbox_elsewhere, "is_elsewhere", lambda *_: True)
        yield inbox
        return
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", share], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    yield inbox
    subprocess.run(["umount", "-l", share], check=True)


def put(inbox: Path) -> Path:
    path = inbox / SHARE / "study" / "a.dcm"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(SCAN)
    return path


def left(inbox: Path) -> list[Path]:
    return sorted(path for path in inbox.rglob("*") if not path.is_dir())


def test_a_file_is_taken_whole(inbox: Path) -> None:
    path, claimed = put(inbox), inbox / ".claimed"
    claim_id = claim(inbox, claimed, path)
    assert claim_id is not None
    assert left(inbox) == [claimed / claim_id / SHARE / "study" / "a.dcm"] == [claimed_file(claimed, claim_id)]
    assert left(inbox)[0].read_bytes() == SCAN


def test_by_the_worker(inbox: Path, services: ClockedServices) -> None:
    services.settings.rescan_seconds = 0.05
    watching = Watching(services)
    put(inbox)
    watching.look_until_taken(f"{SHARE}/study/a.dcm")
    assert watching.claimed_bytes(watching.rows()[0]) == SCAN


def test_one_that_is_written_to_meanwhile_stays(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = put(inbox), os.fsync

    def write_and_sync(descriptor: int) -> None:
        aside = next(path.parent.glob(".*.part"), None)
        if aside is not None:
            with aside.open("ab") as writer:
                writer.write(b"more")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", write_and_sync)
    assert claim(inbox, inbox / ".claimed", path) is None
    assert left(inbox) == [path]
    assert path.read_bytes() == SCAN + b"more"
    assert list((inbox / ".claimed").iterdir()) == []


def test_a_full_disk_leaves_it_where_it_is(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = put(inbox)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        claim(inbox, inbox / ".claimed", path)
    assert left(inbox) == [path]


def test_what_cannot_be_removed_from_the_share_is_named_by_its_claim_alone(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path, claimed, unlink = put(inbox), inbox / ".claimed", os.unlink
    monkeypatch.setattr(os, "unlink", refuse)
    claim_id = claim(inbox, claimed, path)
    assert claim_id is not None
    assert mend_claim(inbox, claimed / claim_id)
    stays = f"inbox: a scan that was taken stays on its share as .{claim_id}.part: EPERM"
    assert caplog.messages == [stays, stays]
    monkeypatch.setattr(os, "unlink", unlink)
    assert mend_claim(inbox, claimed / claim_id)
    assert left(inbox) == [claimed_file(claimed, claim_id)]


def test_a_copy_under_way_is_left_to_who_makes_it(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tried, real = put(inbox), [], os.fsync

    def mend_and_sync(descriptor: int) -> None:
        (folder,) = (inbox / ".claimed").iterdir()
        if (folder / inbox_elsewhere.COPYING).exists():
            with pytest.raises(BlockingIOError):
                mend_claim(inbox, folder)
            tried.append(folder)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", mend_and_sync)
    assert claim(inbox, inbox / ".claimed", path) is not None
    assert tried


def test_while_it_is_not_mounted_the_copy_is_kept(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = inbox / ".claimed" / ("a" * 32)
    copy = folder / inbox_elsewhere.COPYING / SHARE / "a.dcm"
    copy.parent.mkdir(parents=True)
    copy.touch()
    monkeypatch.setattr(inbox_elsewhere, "is_elsewhere", lambda *_: False)
    with pytest.raises(FileNotFoundError):
        mend_claim(inbox, folder)
    assert copy.exists()


def dies_at(moment: int, work: Callable[[], object]) -> bool:
    """Do it in a child that is killed before the `moment`th change of anything; false when there are not so many."""

    def hear(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal moment
        opened = name == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_WRONLY
        if opened or name in {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.utime"}:
            moment -= 1
            if moment == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def child() -> None:
        sys.addaudithook(hear)
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_kill_9_at_every_moment(inbox: Path, services: ClockedServices) -> None:
    services.settings.rescan_seconds = 0.05
    moment, path, claimed = 1, inbox / SHARE / "study" / "a.dcm", inbox / ".claimed"
    watching = Watching(services)
    while True:
        put(inbox)
        died = dies_at(moment, lambda: claim(inbox, claimed, path))
        for folder in claimed.iterdir():
            os.utime(folder, (0, 0))
        watching.look_until(lambda rows=moment: len(watching.rows()) == rows)
        assert [row.original_name for row in watching.rows()] == [f"{SHARE}/study/a.dcm"] * moment
        (kept,) = left(inbox)
        assert kept.read_bytes() == SCAN
        assert kept.is_relative_to(claimed)
        kept.unlink()
        if not died:
            break
        moment += 1
    assert moment > 8, "rename aside, copy, rename, remove"
