"""Will new files be noticed? Kernel events have limits, and network shares send none."""

import ctypes
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from worker.cli.doctor.lines import Line, ok, trouble, warning
from worker.inbox_files import folders, folders_too_deep
from worker.inbox_walk import TOO_DEEP, walk
from worker.settings import Settings, WatchMode

INBOX = "inbox"
LIMITS = Path("/proc/sys/fs/inotify")
MOUNTS = Path("/proc/self/mountinfo")
NETWORK = ("nfs*", "cifs", "smb*", "fuse", "fuse.*", "9p", "afs", "ceph", "glusterfs", "lustre", "virtiofs", "vboxsf")
USE_POLLING = "Set TRIAGE_WATCH=polling."


def check_watching(settings: Settings) -> Iterator[Line]:
    """What kind of file system the inbox and the database lie on, and whether there are watches for all folders."""
    kind = file_system(settings.inbox)
    is_network = kind is not None and any(fnmatch(kind, pattern) for pattern in NETWORK)
    if settings.watch is WatchMode.POLLING:
        yield ok(INBOX, f"The inbox is listed every {settings.settle_seconds:g} s (TRIAGE_WATCH=polling).")
    elif is_network:
        sentence = f"The inbox is on a network file system ({kind}), which sends no events of other machines' files."
        yield warning(INBOX, f"{sentence} They are seen every {settings.rescan_seconds:g} s.", USE_POLLING)
    else:
        yield from _kernel_events(settings.inbox)
    yield from _too_deep(settings.inbox)
    database_kind = file_system(settings.home)
    if settings.database_url is None and database_kind and any(fnmatch(database_kind, each) for each in NETWORK):
        sentence = f"The SQLite database is on a network file system ({database_kind}), where it can be damaged."
        yield trouble(INBOX, sentence, "Set TRIAGE_DATABASE_URL to a Postgres, or TRIAGE_HOME to a local disk.")


def file_system(path: Path) -> str | None:
    """Type of the file system below a path, or below the nearest parent there is; `None` where nobody can tell."""
    try:
        mounts = MOUNTS.read_text()
    except OSError:
        return None
    here = path.resolve()
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))  # blanks are written \040
        if here.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = len(point.parts), after.split()[0]
    return None if found is None else found[1]


def _kernel_events(inbox: Path) -> Iterator[Line]:
    try:
        watches = int((LIMITS / "max_user_watches").read_text())
        instances = int((LIMITS / "max_user_instances").read_text())
    except OSError:
        yield ok(INBOX, "The kernel's events are used; it names no limits of them.")
        return
    count = sum(1 + folder.too_deep for folder in walk(inbox, lambda _: False))
    sentence = f"The inbox has {count:,} folders, and fs.inotify.max_user_watches is {watches:,}"
    if count > watches:
        remedy = f"sysctl fs.inotify.max_user_watches={4 * count}, or set TRIAGE_WATCH=polling."
        yield warning(INBOX, f"{sentence}: too few, so the worker looks regularly instead.", remedy)
    elif not _one_more_instance():
        yield warning(
            INBOX,
            f"All {instances:,} inotify instances of this user are in use: a new worker looks regularly instead.",
            f"sysctl fs.inotify.max_user_instances={4 * instances}",
        )
    else:
        yield ok(INBOX, f"{sentence}.")


def _too_deep(inbox: Path) -> Iterator[Line]:
    count = folders_too_deep(folders(inbox))
    if count:
        sentence = f"Folders of the inbox nested too deeply ({TOO_DEEP}): {count:,}. What is in them is not taken."
        yield warning(INBOX, sentence, "Move their files up, or remove them.")


def _one_more_instance() -> bool:
    """Python has no door to it."""
    descriptor = ctypes.CDLL(None, use_errno=True).inotify_init()
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True
