"""The folders of the inbox, from the top down, as far as they are looked into: anybody may nest them at will."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_LEVELS = 64
"""Of folders below the inbox: `os.walk` on Python 3.11, watchdog and `mkdir(parents=True)` recurse once a level."""
MOST_PATH_BYTES = 3500
"""Of a folder's whole path; a claim adds its own folder and a name to it, and the kernel takes 4,096."""
TOO_DEEP = f"below {MOST_LEVELS} levels, or with a path of more than {MOST_PATH_BYTES:,} bytes"
"""Which folders are not looked into, as messages say it."""


@dataclass(frozen=True)
class Folder:
    """One folder that is looked into.

    Attributes:
        path: where it is.
        names: of everything in it that is no folder.
        subfolders: names of the folders in it that are looked into.
        too_deep: how many of its folders are not, for their depth.
    """

    path: Path
    names: list[str] = field(default_factory=list)
    subfolders: list[str] = field(default_factory=list)
    too_deep: int = 0


def is_too_deep(folder: Path, level: int) -> bool:
    """Is this folder, so many levels below the inbox, not looked into?"""
    return level > MOST_LEVELS or len(os.fsencode(folder)) > MOST_PATH_BYTES


def walk(root: Path, is_left_out: Callable[[str], bool], level: int = 0) -> Iterator[Folder]:
    """Every folder from `root`, which is `level` levels below the inbox, down; each before those in it.

    Folders whose name `is_left_out` are passed over, links to folders are names like any other, and a folder that
    cannot be read is as an empty one.
    """
    waiting = [(root, level)]
    while waiting:
        path, level = waiting.pop()
        names, subfolders = _entries(path)
        subfolders = [name for name in subfolders if not is_left_out(name)]
        entered = [name for name in subfolders if not is_too_deep(path / name, level + 1)]
        yield Folder(path, names, entered, len(subfolders) - len(entered))
        waiting += [(path / name, level + 1) for name in reversed(entered)]


def _entries(path: Path) -> tuple[list[str], list[str]]:
    names: list[str] = []
    subfolders: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                (subfolders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
    except OSError:
        pass
    return names, subfolders


def scan_for_watchdog(inbox: Path) -> Callable[[str | None], Iterator["os.DirEntry[str]"]]:
    """An `os.scandir` for watchdog's polling, which recurses and logs the paths of what it cannot read."""

    def scan(given: str | None) -> Iterator["os.DirEntry[str]"]:
        path = Path(given or inbox)
        if path == inbox:
            return os.scandir(path)
        if is_too_deep(path, len(path.relative_to(inbox).parts)):
            return iter(())
        try:
            return os.scandir(path)
        except OSError as error:
            raise FileNotFoundError(errno.ENOENT, "not readable") from error  # to watchdog an empty one

    return scan
