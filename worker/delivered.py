"""What lies in the outbox, looked at as warily as it was put there: no link is followed, no pipe waited for."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from worker.folder_descriptors import folder_below

# ENOTDIR, ELOOP: a link or a file in place of a folder, a link in place of a file (EMLINK on FreeBSD). ENXIO: a socket.
_NOT_OURS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENXIO})


class Delivered:
    """The folder that people read from, and put things of their own into; paths are relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self, folder: str) -> list[str]:
        """What a folder holds, sorted; nothing where there is none."""
        with _none_of_others(), folder_below(self.root, Path(folder)) as descriptor:
            return sorted(os.listdir(descriptor))  # noqa: PTH208  pathlib knows no descriptors
        return []

    def size_bytes(self, relative: str) -> int | None:
        """Of a regular file; `None` when anything else is there, or nothing."""
        target = Path(relative)
        with _none_of_others(), folder_below(self.root, target.parent) as folder:
            status = os.stat(target.name, dir_fd=folder, follow_symlinks=False)
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        return None

    def has(self, relative: str) -> bool:
        """Is there a regular file?"""
        return self.size_bytes(relative) is not None

    def sha256(self, relative: str) -> str | None:
        """Of the bytes of a regular file; `None` as for `size_bytes`."""
        with _none_of_others(), self._open(relative) as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
        return None

    def text(self, relative: str) -> str:
        """Of a regular file, empty as for `size_bytes`; bytes that are no text are replaced."""
        with _none_of_others(), self._open(relative) as content:
            return content.read().decode(errors="replace")
        return ""

    def _open(self, relative: str) -> BufferedReader:
        target, flags = Path(relative), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with folder_below(self.root, target.parent) as folder:
            return os.fdopen(_regular(os.open(target.name, flags, dir_fd=folder)), "rb")


def _regular(descriptor: int) -> int:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "no regular file")


@contextmanager
def _none_of_others() -> Iterator[None]:
    """What others put in the place of a file or a folder is as good as nothing; a disk that fails is not."""
    with suppress(FileNotFoundError):
        try:
            yield
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
