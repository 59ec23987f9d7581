"""Delivery: whole or not at all, with the permissions of the share, under names any system takes."""

import errno
import io
import os
import shutil
import stat
from pathlib import Path

import pytest

from worker.outbox import LONGEST_NAME_BYTES, Outbox, rejected_folder, report_path, safe_name

MODE = 0o750


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = Outbox(tmp_path / "outbox", MODE)
    outbox.prepare()
    return outbox


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class BrokenStream(io.BytesIO):
    """Gives some bytes, then fails as a disk does; looks at what the folder shows meanwhile."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.shown: list[list[str]] = []

    def read(self, _size: int | None = -1) -> bytes:
        self.shown.append([path.name for path in self.folder.iterdir() if not path.name.startswith(".")])
        if len(self.shown) > 1:
            raise OSError("no space left")
        return b"half"


class TestDelivery:
    def test_bytes_arrive_with_the_modes_of_the_share(self, outbox: Outbox) -> None:
        umask = os.umask(0o077)
        try:
            outbox.deliver_bytes("rejected/00000001/reason.txt", b"content")
        finally:
            os.umask(umask)
        path = outbox.root / "rejected" / "00000001" / "reason.txt"
        assert path.read_bytes() == b"content"
        assert (mode(path), mode(path.parent)) == (0o640, 0o750)

    def test_the_folders_are_there_at_once_however_often_they_are_made(self, outbox: Outbox) -> None:
        outbox.prepare()
        assert {path.name for path in outbox.root.iterdir()} == {"reports", "rejected"}
        assert {mode(path) for path in (outbox.root, *outbox.root.iterdir())} == {MODE}

    def test_a_stream_longer_than_a_chunk(self, outbox: Outbox) -> None:
        content = os.urandom(3_000_000)
        outbox.deliver_stream("reports/a.pdf", io.BytesIO(content))
        assert (outbox.root / "reports" / "a.pdf").read_bytes() == content

    def test_a_later_delivery_replaces_the_earlier_one(self, outbox: Outbox) -> None:
        for content in (b"long first one", b"second"):
            outbox.deliver_bytes("index.html", content)
        assert (outbox.root / "index.html").read_bytes() == b"second"

    def test_half_a_file_never_shows_and_leaves_nothing_behind(self, outbox: Outbox) -> None:
        folder = outbox.root / "reports"
        stream = BrokenStream(folder)
        with pytest.raises(OSError, match="no space left"):
            outbox.deliver_stream("reports/a.pdf", stream)
        assert stream.shown == [[], []]
        assert list(folder.iterdir()) == []

    def test_a_delivery_that_fails_keeps_the_earlier_one(self, outbox: Outbox) -> None:
        outbox.deliver_bytes("reports/a.pdf", b"first")
        with pytest.raises(OSError, match="no space left"):
            outbox.deliver_stream("reports/a.pdf", BrokenStream(outbox.root / "reports"))
        assert (outbox.root / "reports" / "a.pdf").read_bytes() == b"first"


def test_an_outbox_that_was_cleared_away_is_made_again(outbox: Outbox) -> None:
    shutil.rmtree(outbox.root)
    outbox.deliver_bytes("reports/a.pdf", b"content")
    assert (outbox.root / "reports" / "a.pdf").read_bytes() == b"content"
    assert (mode(outbox.root), mode(outbox.root / "reports")) == (MODE, MODE)


class TestLinks:
    """What those who share the outbox may put there: the worker has rights that they do not have."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        folder = tmp_path / "outside"
        folder.mkdir(mode=0o700)
        (folder / "authorized_keys").write_bytes(b"mine")
        return folder

    def test_no_folder_that_is_a_link_is_written_into(self, outbox: Outbox, outside: Path, tmp_path: Path) -> None:
        (outbox.root / "rejected" / "00000007").symlink_to(outside)
        dropped = tmp_path / "dropped"
        dropped.write_bytes(b"theirs")
        for deliver in (
            lambda: outbox.deliver_bytes("rejected/00000007/authorized_keys", b"theirs"),
            lambda: outbox.deliver_file("rejected/00000007/authorized_keys", dropped),
        ):
            with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
                deliver()
        assert [path.read_bytes() for path in outside.iterdir()] == [b"mine"]
        assert dropped.exists()

    def test_a_file_that_is_a_link_is_replaced(self, outbox: Outbox, outside: Path) -> None:
        (outbox.root / "index.html").symlink_to(outside / "authorized_keys")
        outbox.deliver_bytes("index.html", b"page")
        assert (outside / "authorized_keys").read_bytes() == b"mine"
        assert not (outbox.root / "index.html").is_symlink()

    def test_nor_are_permissions_changed_through_one(self, outbox: Outbox, outside: Path) -> None:
        (outbox.root / "reports").rmdir()
        (outbox.root / "reports").symlink_to(outside)
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            outbox.prepare()
        assert mode(outside) == 0o700


def test_a_file_from_another_file_system_is_copied(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "big", os.rename
    path.write_bytes(b"content")

    def rename(source: object, *names: object, **folders: object) -> None:
        if source == path:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, *names, **folders)

    monkeypatch.setattr(os, "rename", rename)
    outbox.deliver_file("rejected/00000001/big", path)
    assert (outbox.root / "rejected" / "00000001" / "big").read_bytes() == b"content"
    assert not path.exists()


class TestNames:
    def test_places(self) -> None:
        assert report_path("abc", 2) == "reports/abc-r2.pdf"
        assert rejected_folder(7) == "rejected/00000007"

    @pytest.mark.parametrize(
        ("original", "safe"),
        [
            ("scan.jpg", "scan.jpg"),
            ("stat/ward/scan.jpg", "scan.jpg"),
            ("../../etc/passwd", "passwd"),
            ("line\nbreak\x00\x1b[31m.jpg", "line_break__[31m.jpg"),
            ("right\u202eto left.jpg", "right_to left.jpg"),
            ("🧠 scan \"x\" 'y'.jpg", "🧠 scan \"x\" 'y'.jpg"),
            ("folder/..", "file.."),
            ("folder/.", "file."),
            ("folder/", "file"),
            ("...", "file..."),
            (" ", "file "),
        ],
    )
    def test_safe(self, original: str, safe: str) -> None:
        assert safe_name(original) == safe

    @pytest.mark.parametrize("original", ["é" * 300 + ".dcm", "x" * 255, "🧠" * 100 + ".dcm"])
    def test_long_ones_keep_their_end(self, original: str) -> None:
        safe = safe_name(original)
        assert LONGEST_NAME_BYTES - 4 < len(safe.encode()) <= LONGEST_NAME_BYTES
        assert original.endswith(safe)
