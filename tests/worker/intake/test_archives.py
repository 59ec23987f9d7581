"""Zip archives: checked whole, counted while unpacking, and nothing left behind."""

import hashlib
import io
import random
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from worker.errors import Reason, RejectedError, TransientError
from worker.intake.archives import extract
from worker.intake.limits import IntakeLimits

LIMITS = IntakeLimits()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


def refusal(out: Path, data: bytes, limits: IntakeLimits = LIMITS) -> Reason:
    path = out.parent / "study.zip"
    path.write_bytes(data)
    with pytest.raises(RejectedError) as caught:
        extract(path, out, limits)
    assert list(out.iterdir()) == []
    return caught.value.reason


def test_members(out: Path) -> None:
    entries = {"a/1.dcm": b"one" * 1000, "a/2.dcm": b"", "b/1.dcm": b"three"}
    path = out.parent / "study.zip"
    path.write_bytes(zipped(entries))
    members = extract(path, out, LIMITS)
    assert {member.name: member.path.read_bytes() for member in members} == entries
    assert [member.size_bytes for member in members] == [3000, 0, 5]
    assert members[0].sha256 == hashlib.sha256(b"one" * 1000).hexdigest()
    assert all(member.path.parent == out and member.path.name.isdigit() for member in members)
    assert all(stat.S_IMODE(member.path.stat().st_mode) == 0o600 for member in members)


def test_room_is_asked_for_before_the_first_byte_and_on_the_way(out: Path) -> None:
    path = out.parent / "study.zip"
    path.write_bytes(zipped({"1.dcm": b"one" * 1000, "2.dcm": b"three"}))
    asked: list[int] = []

    def has_room(wanted: int) -> bool:
        asked.append(wanted)
        return len(asked) < 3  # others fill the disk meanwhile

    with pytest.raises(TransientError, match="no room"):
        extract(path, out, LIMITS, has_room)
    assert asked == [3005, 3000, 5]
    assert list(out.iterdir()) == []


def test_no_more_room_is_asked_for_than_may_be_used(out: Path) -> None:
    path = out.parent / "study.zip"
    content = bytearray(zipped({"1.dcm": b"x"}))
    at = content.find(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content)
    asked: list[int] = []
    extract(path, out, LIMITS, lambda wanted: not asked.append(wanted))
    assert asked == [LIMITS.inflate_free_bytes, 1]


def test_folders_and_clutter_are_left_out(out: Path) -> None:
    entries = {"a/": b"", "__MACOSX/a/._1.dcm": b"x", "a/.DS_Store": b"x", "a/Thumbs.db": b"x", "a/1.dcm": b"x"}
    path = out.parent / "study.zip"
    path.write_bytes(zipped(entries))
    assert [member.name for member in extract(path, out, LIMITS)] == ["a/1.dcm"]


@pytest.mark.parametrize(
    ("raw_name", "utf8", "expected"),
    [
        ("é.dcm".encode(), True, "é.dcm"),
        ("é.dcm".encode(), False, "é.dcm"),
        (b"\x82.dcm", False, "é.dcm"),  # code page 437
        (b"a\x1b[31m.dcm", False, "a [31m.dcm"),
    ],
)
def test_names_in_any_encoding(out: Path, raw_name: bytes, utf8: bool, expected: str) -> None:
    placeholder = "n" * len(raw_name)
    data = bytearray(zipped({placeholder: b"x"}).replace(placeholder.encode(), raw_name))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature) + offset
        data[at : at + 2] = struct.pack("<H", 0x800 if utf8 else 0)
    path = out.parent / "study.zip"
    path.write_bytes(data)
    assert [member.name for member in extract(path, out, LIMITS)] == [expected]


@pytest.mark.parametrize(
    "name",
    ["../x.dcm", "a/../../x.dcm", "/tmp/x.dcm", "..\\x.dcm", "C:\\x.dcm", "c:x.dcm", "\\\\server\\x.dcm", "a/.."],
)
def test_one_entry_outside_refuses_all(out: Path, name: str) -> None:
    assert refusal(out, zipped({"good.dcm": b"x", name: b"x"})) is Reason.BAD_ARCHIVE


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices(out: Path, kind: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link.dcm")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert refusal(out, buffer.getvalue()) is Reason.BAD_ARCHIVE


def test_encrypted(out: Path) -> None:
    data = bytearray(zipped({"a.dcm": b"secret"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + offset] |= 1
    assert refusal(out, bytes(data)) is Reason.BAD_ARCHIVE


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_without_a_bound(out: Path, compression: int) -> None:
    assert refusal(out, zipped({"a.dcm": b"x" * 1000}, compression)) is Reason.BAD_ARCHIVE


def test_bombs(out: Path) -> None:
    assert refusal(out, zipped({f"{i}.dcm": bytes(20_000_000) for i in range(3)})) is Reason.BAD_ARCHIVE
    small = IntakeLimits(max_archive_bytes=100_000)
    assert refusal(out, zipped({f"{i}.dcm": bytes(60_000) for i in range(2)}), small) is Reason.BAD_ARCHIVE


def test_sizes_in_headers_are_not_believed(out: Path) -> None:
    data = bytearray(zipped({"a.dcm": bytes(40_000_000)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.find(signature) + offset
        data[at : at + 4] = struct.pack("<I", 100)
    assert refusal(out, bytes(data)) is Reason.BAD_ARCHIVE


def test_too_many_entries(out: Path) -> None:
    few = IntakeLimits(max_archive_entries=3)
    assert refusal(out, zipped({f"{i}.dcm": b"x" for i in range(4)}), few) is Reason.BAD_ARCHIVE
    assert refusal(out, zipped({f"{'n' * 900}{i}.dcm": b"x" for i in range(20)}), few) is Reason.BAD_ARCHIVE


def test_archive_file_too_large(out: Path) -> None:
    assert refusal(out, zipped({"a": b"x"}), IntakeLimits(max_archive_bytes=50)) is Reason.TOO_LARGE


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"PK\x03\x04" + bytes(500), zipped({}), zipped({"a/": b""})])
def test_broken_or_empty(out: Path, data: bytes) -> None:
    assert refusal(out, data) is Reason.BAD_ARCHIVE


def test_wrong_checksum(out: Path) -> None:
    data = zipped({"a.dcm": b"hello hello"}, zipfile.ZIP_STORED).replace(b"hello hello", b"jello hello")
    assert refusal(out, data) is Reason.BAD_ARCHIVE


def test_random_damage_leaves_nothing(out: Path) -> None:
    whole = zipped({"a.dcm": b"abc" * 500, "b/c.dcm": bytes(range(256)) * 4})
    random_bits = random.Random(3)
    path = out.parent / "study.zip"
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(random_bits.choice((1, 3, 9))):
            data[random_bits.randrange(len(data))] = random_bits.randrange(256)
        path.write_bytes(data)
        try:
            for member in extract(path, out, LIMITS):
                member.path.unlink()
        except RejectedError:
            assert list(out.iterdir()) == []
