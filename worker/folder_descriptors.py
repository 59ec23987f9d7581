"""Folders opened step by step, so that no link on the way leads elsewhere: for places that other people write to."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

OpenInner = Callable[[str, int], int]
"""Opens the folder of a name in an open folder; both are descriptors."""


def open_inner(name: str, folder: int) -> int:
    """The folder of that name.

    Raises:
        OSError: there is none, or a link has the name.
    """
    return os.open(name, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=folder)


@contextmanager
def folder_below(root: Path, relative: Path, step: OpenInner = open_inner) -> Iterator[int]:
    """A descriptor of `root / relative`, open until the block ends. The root may be a link: its owner made it.

    Raises:
        OSError: as `step` does.
    """
    folder = os.open(root, FOLDER_FLAGS)
    try:
        for name in relative.parts:
            inner = step(name, folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)
