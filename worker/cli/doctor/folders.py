"""The folders of TRIAGE_HOME: there, writable, private where they must be, and with room."""

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from worker.cli.doctor.lines import Line, ok, trouble, warning
from worker.errors import io_error_name
from worker.folders import is_open_to_others
from worker.settings import DATABASE_FILE, Settings
from worker.store.objects import PRIVATE_FILE, PRIVATE_FOLDER

FOLDERS, DISK = "folders", "disk"
START_ONCE = "Start the worker once: it makes what is missing."
FOR_OTHERS = 0o077


def check_folders(settings: Settings) -> Iterator[Line]:
    """A line a folder; of the store see `check_store`."""
    home = settings.home
    if not home.exists():
        yield _not_there_yet(home)
        return
    yield from folder_lines(home)
    if home.is_dir() and is_open_to_others(home):
        yield warning(FOLDERS, f"{home} can be written to by others than its owner.", f"chmod go-w {home}")
    private = [settings.claimed, *([settings.broker_folder] if settings.embedded_broker else [])]
    for folder in (settings.inbox, settings.outbox, *private):
        yield from folder_lines(folder, private=folder in private)
    if settings.inbox.is_dir() and settings.claimed.is_dir():
        yield _claims_are_renames(settings)
    database = home / DATABASE_FILE
    if settings.database_url is None and database.is_file() and database.stat().st_mode & FOR_OTHERS:
        yield warning(FOLDERS, f"{database} can be read by others.", f"chmod {PRIVATE_FILE:o} {database}")


def _not_there_yet(home: Path) -> Line:
    parent = next(folder for folder in home.parents if folder.exists())
    error = _writing_fails(parent)
    if error is not None:
        return trouble(FOLDERS, f"{home} cannot be made ({error}).", "Set TRIAGE_HOME to a folder of your own.")
    return warning(FOLDERS, f"{home} is not there yet.", START_ONCE)


def folder_lines(folder: Path, *, private: bool = False) -> Iterator[Line]:
    """Is it there, writable and, where it has to be, private?"""
    if not folder.exists():
        yield warning(FOLDERS, f"{folder} is not there yet.", START_ONCE)
        return
    error = _writing_fails(folder)
    if error is not None:
        yield trouble(FOLDERS, f"{folder} cannot be written to ({error}).", "Give it to the user who runs the worker.")
    elif private and stat.S_IMODE(folder.stat().st_mode) & FOR_OTHERS:
        yield warning(FOLDERS, f"{folder} can be read by others.", f"chmod {PRIVATE_FOLDER:o} {folder}")
    else:
        yield ok(FOLDERS, f"{folder} can be written to{' and is private' if private else ''}.")


def _writing_fails(folder: Path) -> str | None:
    """Try it: permissions alone do not tell of read-only mounts and of what a server allows."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".doctor-", suffix=".part"):
            return None
    except OSError as error:
        return io_error_name(error)


def _claims_are_renames(settings: Settings) -> Line:
    if settings.inbox.stat().st_dev == settings.claimed.stat().st_dev:
        return ok(FOLDERS, "A file is claimed by one rename: .claimed is on the inbox's own file system.")
    sentence = f"{settings.claimed} is on another file system than the inbox: every file has to be copied."
    return trouble(FOLDERS, sentence, "Mount the whole inbox, with .claimed in it, from one place.")


def check_disk(settings: Settings) -> Iterator[Line]:
    """Is there room, and for how much longer?"""
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free, needed = shutil.disk_usage(place).free, settings.min_free_bytes
    sentence = f"{free >> 20:,} MiB are free; intake stops below {needed >> 20:,} (TRIAGE_MIN_FREE_BYTES)."
    remedy = "Make room; `python -m worker purge` removes old finished work."
    if free < needed:
        yield trouble(DISK, sentence, remedy)
    elif free < 2 * needed:
        yield warning(DISK, sentence, remedy)
    else:
        yield ok(DISK, sentence)
