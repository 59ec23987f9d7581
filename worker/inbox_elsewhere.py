"""Claiming files of a file system mounted inside the inbox, out of which no rename leads: a share for each scanner.

Who renames the file aside, within its own file system and under a name that is ignored and tells of the claim, owns it.
Then it is copied into the claim below `COPYING`, the copy renamed to its place there, and what lies aside removed.
So whatever a killed worker left, one file counts: while there is one below `COPYING`, the one aside, else the copy.
"""

import errno
import fcntl
import logging
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from worker.errors import io_error_name
from worker.folder_descriptors import folder_below
from worker.store.objects import CHUNK_BYTES, PRIVATE_FILE, sync_folder

logger = logging.getLogger(__name__)

COPYING = ".copying"
"""No first folder of a name in the inbox begins with a dot: those are ignored."""
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def claim_by_copy(folder: int, claim: Path, relative: Path) -> bool:
    """Take the file `relative`, of an open folder, into a claim; false when it is no file or changes meanwhile.

    Raises:
        OSError: it cannot be taken, and is where it was.
    """
    copy = claim / COPYING / relative
    copy.parent.mkdir(parents=True)
    target = os.open(copy, WRITING, PRIVATE_FILE)  # from now on a look at the claim tells what was under way
    is_whole = False
    try:
        fcntl.flock(target, fcntl.LOCK_EX)  # until the end, or the death, of this worker's copying
        sync_folder(copy.parent)
        try:
            os.rename(relative.name, _aside(claim), src_dir_fd=folder, dst_dir_fd=folder)
            is_whole = _copy(folder, claim, target)
        finally:
            if not is_whole:
                _put_back(folder, claim, relative.name)
                shutil.rmtree(claim / COPYING, ignore_errors=True)
        if is_whole:
            _finish(claim, relative)
            _remove_aside(folder, claim)
    finally:
        os.close(target)
    return is_whole


def mend_claim(inbox: Path, claim: Path) -> bool:
    """Bring what a killed worker left of such a claim to one whole file; is the claim now one like any other?

    Raises:
        OSError: where the file came from cannot be looked at now, perhaps because it is not mounted; or a worker that
            lives is copying it.
    """
    relative = _only_file(claim / COPYING)
    if relative is None:
        _mend_finished(inbox, claim)
        return True
    copy = os.open(claim / COPYING / relative, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(copy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with folder_below(inbox, relative.parent) as folder:
            if not is_elsewhere(folder, claim):
                raise FileNotFoundError(errno.ENOENT, "not mounted")
            _put_back(folder, claim, relative.name)
        shutil.rmtree(claim)
    finally:
        os.close(copy)
    return False


def is_elsewhere(folder: int, claim: Path) -> bool:
    """Is an open folder on another file system than a claim?"""
    return os.fstat(folder).st_dev != claim.stat().st_dev


def _aside(claim: Path) -> str:
    return f".{claim.name}.part"


def _only_file(folder: Path) -> Path | None:
    for path, _, names in os.walk(folder):
        for name in names:
            return (Path(path) / name).relative_to(folder)
    return None


def _copy(folder: int, claim: Path, target: int) -> bool:
    """Copy what was renamed aside and sync it; false when it is no regular file, or was written to meanwhile.

    A hard link needs no second look: it leads to files of its own file system, where none of the worker's are.
    """
    if not stat.S_ISREG(os.stat(_aside(claim), dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    source = os.open(_aside(claim), READING, dir_fd=folder)
    try:
        before, copied = os.fstat(source), 0
        while chunk := os.read(source, CHUNK_BYTES):
            copied += len(chunk)
            while chunk:
                chunk = chunk[os.write(target, chunk) :]
            os.utime(claim)  # to other workers this claim is one of now, however long the copy takes
        os.fsync(target)
        after = os.fstat(source)
    finally:
        os.close(source)
    # one link less: somebody has removed what lies aside, and so taken the scan back
    looks = {(status.st_size, status.st_mtime_ns, status.st_nlink) for status in (before, after)}
    return stat.S_ISREG(before.st_mode) and len(looks) == 1 and copied == before.st_size


def _finish(claim: Path, relative: Path) -> None:
    """One rename makes the claim whole: that of the first folder, or of the file itself."""
    first = relative.parts[0]
    (claim / COPYING / first).rename(claim / first)
    (claim / COPYING).rmdir()
    sync_folder(claim)


def _put_back(folder: int, claim: Path, name: str) -> None:
    """Under its own name, unless somebody has put another file there meanwhile; nothing where nothing lies aside."""
    if not _lies_in(folder, _aside(claim)):
        return
    free = uuid4().hex if _lies_in(folder, name) else name
    os.rename(_aside(claim), free, src_dir_fd=folder, dst_dir_fd=folder)


def _mend_finished(inbox: Path, claim: Path) -> None:
    """The copy counts; what may still lie aside goes, unless its folder is gone, as it is after many a claim."""
    relative = _only_file(claim)
    if relative is not None:
        with suppress(OSError), folder_below(inbox, relative.parent) as folder:
            _remove_aside(folder, claim)


def _remove_aside(folder: int, claim: Path) -> None:
    """The scan is taken: where this cannot be removed it is ignored, and a line says that a scan lies on a share."""
    try:
        os.unlink(_aside(claim), dir_fd=folder)
    except FileNotFoundError:
        return  # as after nearly every claim
    except OSError as error:
        logger.warning("inbox: a scan that was taken stays on its share as %s: %s", _aside(claim), io_error_name(error))


def _lies_in(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
