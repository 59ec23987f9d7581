"""Only regular files, only so many bytes."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from worker.errors import Reason, RejectedError
from worker.intake.files import open_regular, read_bounded, read_head, sha256_of


def reason(path: Path) -> Reason:
    with pytest.raises(RejectedError) as caught:
        open_regular(path)
    return caught.value.reason


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    assert reason(tmp_path / "link") is Reason.UNSUPPORTED_TYPE
    assert reason(tmp_path / "dangling") is Reason.UNSUPPORTED_TYPE


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "pipe") is Reason.UNSUPPORTED_TYPE


def test_folders_sockets_and_devices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # socket paths are limited to 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert reason(tmp_path / "s") is Reason.UNSUPPORTED_TYPE
    assert reason(tmp_path) is Reason.UNSUPPORTED_TYPE
    assert reason(Path("/dev/zero")) is Reason.UNSUPPORTED_TYPE


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    assert reason(path) is Reason.UNREADABLE


def test_a_missing_file_is_not_the_files_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "gone")


def test_sizes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    assert read_head(path, 3) == b"123"
    with pytest.raises(RejectedError) as caught:
        read_bounded(path, 4)
    assert caught.value.reason is Reason.TOO_LARGE
    path.write_bytes(b"")
    with pytest.raises(RejectedError) as caught:
        read_bounded(path, 4)
    assert caught.value.reason is Reason.TRUNCATED


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * 3_000_000)
    assert sha256_of(path) == hashlib.sha256(b"a" * 3_000_000).hexdigest()
    with path.open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(RejectedError) as caught:
        sha256_of(path, max_bytes=1 << 30)
    assert caught.value.reason is Reason.TOO_LARGE
