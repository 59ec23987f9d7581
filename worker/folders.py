"""The folders of `TRIAGE_HOME` and who may read them."""

import os
import stat
from pathlib import Path

from worker.folder_descriptors import folder_below
from worker.inbox_files import URGENT_FOLDER
from worker.outbox import outbox_of
from worker.settings import DATABASE_FILE, Settings
from worker.store.objects import PRIVATE_FILE, PRIVATE_FOLDER, ObjectStore

PRIVATE_UMASK = 0o077
WRITING_BY_OTHERS = 0o022


def keep_private() -> None:
    """From now on whatever this process and its children make is this user's alone, unless they say otherwise."""
    os.umask(PRIVATE_UMASK)


def make_folders(settings: Settings) -> None:
    """Make what is missing: the store and the like for this user alone, inbox and outbox for those who share them.

    Raises:
        OSError: a folder cannot be made, or is not what it has to be.
    """
    make_all_but_store(settings)
    make_store(settings)


def make_store(settings: Settings) -> None:
    """Make the store, and the marker that an earlier version did not make.

    Raises:
        OSError: it cannot be made.
    """
    _make_private(settings.store)
    ObjectStore(settings.store).prepare()


def make_all_but_store(settings: Settings) -> None:
    """Make what else is missing: a store that is missing may be away.

    Raises:
        OSError: a folder cannot be made, or is not what it has to be.
    """
    _make_home(settings)
    for private in (settings.broker_folder, settings.broker_folder / "control", settings.cache):
        _make_private(private)
    make_inbox(settings)
    if settings.database_url is None:
        _make_database_file(settings.home / DATABASE_FILE)
    outbox_of(settings).prepare()


def make_inbox(settings: Settings) -> None:
    """Make the inbox with its urgent folder, and the private one for claimed files.

    Raises:
        OSError: a folder cannot be made, or is not what it has to be.
    """
    # sticky: nobody but the worker can put another folder in the place of `.claimed`
    inbox_mode = settings.share_mode | stat.S_ISVTX
    settings.inbox.mkdir(exist_ok=True)
    settings.inbox.chmod(inbox_mode)
    (settings.inbox / URGENT_FOLDER).mkdir(exist_ok=True)
    # through no link: those who share the inbox could have all of the store shared by one
    with folder_below(settings.inbox, Path(URGENT_FOLDER)) as urgent:
        os.fchmod(urgent, inbox_mode)
    if settings.claimed.is_symlink():
        raise NotADirectoryError(f"{settings.claimed} is a link, and somebody else put it there: remove it")
    _make_private(settings.claimed)


def is_open_to_others(folder: Path) -> bool:
    """Can somebody else put other things in the place of what lies here?"""
    mode = folder.stat().st_mode
    return bool(mode & WRITING_BY_OTHERS) and not mode & stat.S_ISVTX


def _make_home(settings: Settings) -> None:
    """Those who share inbox and outbox may pass through a new home; nobody else may write to it, whatever the umask."""
    if not settings.home.is_dir():
        settings.home.mkdir(parents=True, exist_ok=True)
        settings.home.chmod(PRIVATE_FOLDER | (settings.share_mode & ~WRITING_BY_OTHERS & 0o777))


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) != PRIVATE_FOLDER:
        folder.chmod(PRIVATE_FOLDER)


def _make_database_file(path: Path) -> None:
    """SQLite gives the files beside its database (`-wal`, `-shm`) the permissions of the database."""
    path.touch(PRIVATE_FILE)
    if stat.S_IMODE(path.stat().st_mode) != PRIVATE_FILE:
        path.chmod(PRIVATE_FILE)
