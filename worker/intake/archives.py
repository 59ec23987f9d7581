"""Zip archives of a study: checked whole before anything is written, then unpacked with the bytes counted."""

import errno
import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from worker.errors import Reason, RejectedError, TransientError
from worker.intake.elements import cleaned
from worker.intake.files import CHUNK_BYTES, open_regular
from worker.intake.limits import IntakeLimits

_ENCRYPTED_FLAG = 0x1
_UTF8_FLAG = 0x800
# Deflate is the only compression that zipfile inflates with a bound on its output.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_FILE_KINDS = frozenset({0, stat.S_IFREG, stat.S_IFDIR})

# End of central directory record and its zip64 form (APPNOTE 4.3.16, 4.3.14), with where the directory's size stands.
_TAIL_BYTES = 22 + 0xFFFF + 20 + 56
_END, _END_SIZE_AT, _END_SIZE_FORMAT = b"PK\x05\x06", 12, "<I"
_END64, _END64_SIZE_AT, _END64_SIZE_FORMAT = b"PK\x06\x06", 40, "<Q"
_UNKNOWN_SIZE = 0xFFFFFFFF
# A directory entry takes 46 bytes, its name, and up to some dozens of extra fields.
_ENTRY_BYTES = 1024

# What operating systems leave in archives; the inbox ignores the same names.
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})

# BadZipFile for structure and checksums, the others for what zipfile does not check before it uses it: compressions
# and versions (NotImplementedError), lengths (struct.error, ValueError, EOFError), names (UnicodeError, a ValueError),
# passwords (RuntimeError), local headers (LookupError).
_ZIP_ERRORS = (
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

_DAMAGED = "The archive is damaged or not a zip that can be opened; pack the study again and send it again."


HasRoom = Callable[[int], bool]
"""Says whether the disk takes so many more bytes."""


@dataclass(frozen=True)
class ExtractedMember:
    """One file taken out of an archive.

    Attributes:
        path: where it lies now, under a number: names in archives are never used as paths.
        name: its path inside the archive, for display: patient data, without control characters, at most 256
            characters.
        size_bytes: bytes written.
        sha256: hexadecimal digest of them.
    """

    path: Path
    name: str
    size_bytes: int
    sha256: str


def extract(
    path: Path, destination: Path, limits: IntakeLimits, has_room: HasRoom = lambda _: True
) -> list[ExtractedMember]:
    """Unpack every file of an archive into a folder; a refusal leaves nothing of it behind.

    Nested archives are written like any file, and `read.read_instance` refuses them one by one.

    Args:
        path: the archive.
        destination: an existing folder for this archive alone.
        limits: entries, bytes and ratio allowed; bytes are counted, what headers claim is not relied on.
        has_room: asked for everything before the first byte is written, and again on the way, since others write too.

    Raises:
        TransientError: there is none.
        RejectedError: `bad_archive` when one entry has an absolute path, `..`, a link or a device, is encrypted or
            compressed in another way than deflate, or when there are too many entries or bytes; `too_large` for the
            archive file itself; as `files.open_regular`.
        OSError: the disk failed or is full.
    """
    with open_regular(path) as file, ExitStack() as undo:
        size = os.fstat(file.fileno()).st_size
        if size > limits.max_archive_bytes:
            raise RejectedError(Reason.TOO_LARGE, "The archive is larger than the limit; send the study in parts.")
        written: list[Path] = []
        undo.callback(_remove, written)
        try:
            members = _unpack(file, destination, written, limits, _Budget(limits, size, has_room))
        except _ZIP_ERRORS as error:
            raise RejectedError(Reason.BAD_ARCHIVE, _DAMAGED) from error
        except OSError as error:
            if error.errno != errno.EINVAL:  # a seek to a place that a damaged directory names
                raise
            raise RejectedError(Reason.BAD_ARCHIVE, _DAMAGED) from error
        undo.pop_all()
        return members


def _unpack(
    file: BinaryIO, destination: Path, written: list[Path], limits: IntakeLimits, budget: "_Budget"
) -> list[ExtractedMember]:
    """Check all entries, then write them; `written` grows before each file is made."""
    _check_directory_size(file, limits)
    members = []
    with zipfile.ZipFile(file) as archive:
        infos = _checked(archive.infolist(), limits)
        budget.ask_for(sum(info.file_size for info in infos))
        for number, info in enumerate(infos):
            target = destination / f"{number:06d}"
            written.append(target)
            members.append(_write_member(archive, info, target, budget))
    if not members:
        raise RejectedError(Reason.BAD_ARCHIVE, "The archive holds no files; pack the study's images into it.")
    return members


class _Budget:
    """Bytes that may still be unpacked from one archive."""

    def __init__(self, limits: IntakeLimits, archive_bytes: int, has_room: HasRoom) -> None:
        by_ratio = max(limits.inflate_free_bytes, limits.max_archive_ratio * archive_bytes)
        self._left = min(limits.max_archive_bytes, by_ratio)
        self._has_room = has_room

    def ask_for(self, claimed: int) -> None:
        """Make sure that the disk takes what the headers claim, or as much of it as may be unpacked at all.

        Raises:
            TransientError: it does not.
        """
        if not self._has_room(min(claimed, self._left)):
            raise TransientError("the disk has no room for what an archive holds (TRIAGE_MIN_FREE_BYTES): make room")

    def spend(self, count: int) -> None:
        """Take `count` bytes off, which are to be written next.

        Raises:
            RejectedError: `bad_archive` when they are not there.
            TransientError: the disk has become too full for them.
        """
        self.ask_for(count)
        self._left -= count
        if self._left < 0:
            sentence = "The archive unpacks to far more data than a study of its size has; send the images unpacked."
            raise RejectedError(Reason.BAD_ARCHIVE, sentence)


def _write_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, budget: _Budget) -> ExtractedMember:
    """Stream one entry into a new file."""
    digest = hashlib.sha256()
    count = 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out, archive.open(info) as source:
        while chunk := source.read(CHUNK_BYTES):
            budget.spend(len(chunk))
            out.write(chunk)
            digest.update(chunk)
            count += len(chunk)
    return ExtractedMember(target, cleaned(_display_name(info)) or target.name, count, digest.hexdigest())


def _checked(infos: list[zipfile.ZipInfo], limits: IntakeLimits) -> list[zipfile.ZipInfo]:
    """Return the entries to unpack, folders and clutter left out.

    Raises:
        RejectedError: `bad_archive` when a single entry is not allowed.
    """
    if len(infos) > limits.max_archive_entries:
        sentence = f"The archive has more than {limits.max_archive_entries} entries; send the study in parts."
        raise RejectedError(Reason.BAD_ARCHIVE, sentence)
    for info in infos:
        if complaint := _complaint(info):
            raise RejectedError(Reason.BAD_ARCHIVE, complaint)
    return [info for info in infos if not info.is_dir() and not _is_clutter(info.filename)]


def _complaint(info: zipfile.ZipInfo) -> str | None:
    """Say what is wrong with an entry, `None` when nothing is."""
    # orig_filename: zipfile cuts `filename` at a NUL and turns the separators of this system into slashes.
    name = info.orig_filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/") or "\0" in name:
        return "The archive has an entry that points outside of it; pack the images again without absolute paths."
    if stat.S_IFMT(info.external_attr >> 16) not in _FILE_KINDS:
        return "The archive has a link or device among its entries; pack the image files themselves."
    if info.flag_bits & _ENCRYPTED_FLAG:
        return "The archive is protected by a password; pack the images again without one."
    if info.compress_type not in _METHODS:
        return "The archive uses a compression other than deflate; pack the images again as an ordinary zip."
    return None


def _is_clutter(name: str) -> bool:
    """Whether an entry is what the inbox ignores as well: hidden files and what file managers leave behind."""
    return any(part.startswith(".") or part.lower() in _CLUTTER for part in name.split("/"))


def _display_name(info: zipfile.ZipInfo) -> str:
    """Return the entry's name; many packers write UTF-8 without saying so, which zipfile reads as code page 437."""
    if info.flag_bits & _UTF8_FLAG:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _check_directory_size(file: BinaryIO, limits: IntakeLimits) -> None:
    """Refuse a directory of millions of entries before zipfile makes an object of each.

    Raises:
        RejectedError: `bad_archive`.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read(_TAIL_BYTES)
    file.seek(0)
    bound = limits.max_archive_entries * _ENTRY_BYTES
    if any(claimed > bound for claimed in _claimed_directory_sizes(tail)):
        sentence = f"The archive's list of contents is too long for {limits.max_archive_entries} entries; send parts."
        raise RejectedError(Reason.BAD_ARCHIVE, sentence)


def _claimed_directory_sizes(tail: bytes) -> Iterator[int]:
    """Yield the directory sizes that the end records name; both forms, since readers differ in which they believe."""
    records = ((_END, _END_SIZE_AT, _END_SIZE_FORMAT), (_END64, _END64_SIZE_AT, _END64_SIZE_FORMAT))
    for signature, offset, layout in records:
        at = tail.rfind(signature)
        if at >= 0 and at + offset + struct.calcsize(layout) <= len(tail):
            (claimed,) = struct.unpack_from(layout, tail, at + offset)
            if claimed != _UNKNOWN_SIZE:
                yield claimed


def _remove(paths: list[Path]) -> None:
    """Take back what was written."""
    for path in paths:
        path.unlink(missing_ok=True)
