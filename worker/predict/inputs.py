"""Which files to read: what the paths of the command line lead to, in an order that does not depend on the disk."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from worker.inbox_files import files_in, folders, folders_too_deep, is_ignored


class MissingInputError(Exception):
    """A path of the command line that leads nowhere; `name` is how it prints."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class InputFile:
    """One file to read.

    Attributes:
        path: where its bytes lie; for a member of an archive, in a temporary folder.
        name: how lines name it: the path as given, `archive.zip/member` in an archive. Always valid Unicode.
        sha256: of the bytes where it is known already.
    """

    path: Path
    name: str
    sha256: str | None = None


@dataclass(frozen=True)
class Inputs:
    """What the paths of the command line lead to.

    Attributes:
        files: in the order in which they are read.
        folders_too_deep: how many folders were not looked into, as in the inbox; those in them are not counted.
    """

    files: list[InputFile]
    folders_too_deep: int


def list_inputs(paths: Iterable[Path]) -> Inputs:
    """Files of all paths: paths in the order given, folders walked and sorted; a file given twice is taken once.

    Names that the inbox ignores are left out. Links, pipes and devices inside folders are left out too; given directly
    they are kept, to be refused by name.

    Raises:
        MissingInputError: a path leads nowhere.
    """
    found: dict[str, InputFile] = {}
    too_deep = 0
    for given in paths:
        below, folders_left = _below(given)
        too_deep += folders_left
        for path in below:
            found.setdefault(os.path.abspath(path), InputFile(path, printable_name(path)))  # noqa: PTH100  not resolved
    return Inputs(list(found.values()), too_deep)


def _below(given: Path) -> tuple[list[Path], int]:
    if not os.path.lexists(given):
        raise MissingInputError(printable_name(given))
    if given.name != ".." and is_ignored(Path(given.name)):
        return [], 0
    if not given.is_dir():
        return [given], 0
    looked_into = list(folders(given))
    return sorted(files_in(looked_into)), folders_too_deep(looked_into)


def printable_name(path: Path) -> str:
    """A path as text, undecodable bytes as escapes, as in the worklist."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
