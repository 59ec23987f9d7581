"""The inbox as files: which names count, how one is claimed, where a claimed one lies, how it is let go."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from uuid import uuid4

from worker.folder_descriptors import folder_below
from worker.inbox_elsewhere import claim_by_copy
from worker.inbox_walk import Folder, walk

IGNORED_PATTERNS = (".*", "*.part", "*.tmp", "*.filepart", "*.crdownload", "~*", "*~", "Thumbs.db")
"""Names of files still being written, and of file managers' own files; they count once they are renamed."""
URGENT_FOLDER = "stat"
"""Files under `inbox/stat/` are taken first."""


def is_ignored(relative: Path) -> bool:
    """Is any part of this path, relative to the inbox, a name that does not count?"""
    return any(fnmatch(part, pattern) for part in relative.parts for pattern in IGNORED_PATTERNS)


def list_inbox(inbox: Path, level: int = 0) -> Iterator[Path]:
    """Every regular file that counts, below the inbox or a folder `level` levels below it.

    Links are not followed, pipes and devices never opened, folders that are too deep not looked into.
    """
    return files_in(folders(inbox, level))


def files_in(looked_into: Iterable[Folder]) -> Iterator[Path]:
    """Every regular file that counts in these folders."""
    for folder in looked_into:
        for name in folder.names:
            path = folder.path / name
            if not is_ignored(Path(name)) and is_regular(path):
                yield path


def folders(inbox: Path, level: int = 0) -> Iterator[Folder]:
    """Every folder that counts, from the inbox down."""
    return walk(inbox, lambda name: is_ignored(Path(name)), level)


def folders_too_deep(looked_into: Iterable[Folder]) -> int:
    """How many folders in these are not looked into for their depth; those in them are not counted."""
    return sum(folder.too_deep for folder in looked_into)


def is_regular(path: Path) -> bool:
    """True for a regular file, false for anything else or nothing."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def is_takeable(status: os.stat_result) -> bool:
    """Is this a regular file, and not a second name of one that not everybody may read?

    Who writes to the inbox could else link a scan of the store or the database into it, and get its bytes back from
    `outbox/rejected`. (Linux forbids such links by fs.protected_hardlinks; other systems do not.)
    """
    return stat.S_ISREG(status.st_mode) and (status.st_nlink <= 1 or bool(status.st_mode & stat.S_IROTH))


def is_being_written(path: Path) -> bool:
    """Does a process have the file open for writing? False too where the system cannot tell.

    The kernel grants a read lease on a file that nobody can write to: on this machine's own disks, and on files of this
    user (root: of all). Whoever opens the file in the instant of the lease makes the kernel send SIGIO: ignore it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):
        return False
    finally:
        os.close(descriptor)
    return False


def claim(inbox: Path, claimed: Path, path: Path) -> str | None:
    """Rename `path` into a folder of its own under `claimed`; whoever renames first owns the file.

    From a file system that is mounted inside the inbox it is copied.

    Returns:
        The claim id, or `None` when another worker was faster or there is no file to take (any more).

    Raises:
        OSError: the file cannot be taken, for want of permission or because a link leads to it; it stays where it is.
    """
    claim_id = uuid4().hex
    target = claimed / claim_id / path.relative_to(inbox)
    is_taken = False
    try:
        target.parent.mkdir(parents=True)
        is_taken = _take(inbox, claimed / claim_id, path.relative_to(inbox))
    except FileNotFoundError:
        return None
    finally:
        if not is_taken:
            drop_empty_claim(claimed, claim_id)
    return claim_id if is_taken else None


def _take(inbox: Path, claim: Path, relative: Path) -> bool:
    target = claim / relative
    with folder_below(inbox, relative.parent) as folder:
        if not is_takeable(os.stat(relative.name, dir_fd=folder, follow_symlinks=False)):
            return False
        try:
            os.rename(relative.name, target, src_dir_fd=folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            drop_empty_claim(claim.parent, claim.name)
            return claim_by_copy(folder, claim, relative)
        if is_takeable(target.lstat()):
            return True
        # something else was put there in between: back it goes, under a name that nothing has
        os.rename(target, uuid4().hex, dst_dir_fd=folder)
        return False


def claims_not_of_now(claimed: Path, now: float, seconds: float) -> list[str]:
    """Claims whose folder was made more than `seconds` before `now`, in epoch seconds, or by a clock since set back."""
    found = []
    for folder in claimed.iterdir():
        try:
            if abs(now - folder.stat().st_mtime) > seconds:
                found.append(folder.name)
        except FileNotFoundError:
            continue  # let go meanwhile
    return found


def claimed_file(claimed: Path, claim_id: str) -> Path | None:
    """The file of a claim, `None` when its folder is gone or empty.

    Raises:
        OSError: the folder is there, or may be, and cannot be read.
    """
    for folder, _, names in os.walk(claimed / claim_id, onerror=_raise_unless_gone):
        for name in names:
            return Path(folder) / name
    return None


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def original_name(claimed: Path, claim_id: str, path: Path) -> str:
    """The name below the inbox, with undecodable bytes written as escapes."""
    relative = os.fsencode(path.relative_to(claimed / claim_id))
    return relative.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def rank_of(name: str) -> int:
    """0 for files under the urgent folder, 2 (routine) for all others; lower goes first."""
    return 0 if name.startswith(f"{URGENT_FOLDER}/") else 2


def forget_claim(claimed: Path, claim_id: str) -> None:
    """Remove a claim whose bytes are stored and committed."""
    shutil.rmtree(claimed / claim_id, ignore_errors=True)


def drop_empty_claim(claimed: Path, claim_id: str) -> bool:
    """Remove a claim that a killed worker made and put nothing into; says whether it did. A file in it stays."""
    try:
        for folder, _, _ in os.walk(claimed / claim_id, topdown=False):
            Path(folder).rmdir()
    except OSError:
        return False  # there is something in it
    return True


def folders_with_files(inbox: Path, looked_into: Iterable[Folder]) -> dict[Path, bool]:
    """Of these folders all that may come and go, in their order: is a file below it, ignored or not?

    Those above come before those in them.
    """
    found = {folder.path: bool(folder.names) for folder in looked_into}
    for path in reversed(found):
        if found[path] and path.parent in found:
            found[path.parent] = True
    return {path: has_files for path, has_files in found.items() if path not in (inbox, inbox / URGENT_FOLDER)}


def remove_folders(paths: Iterable[Path]) -> None:
    """Those that are empty, and still there."""
    for path in paths:
        with suppress(OSError):
            path.rmdir()
