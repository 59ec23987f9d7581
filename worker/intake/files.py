"""Opening what users dropped: regular files only, never through a link, never blocking, never more than a bound."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from worker.errors import Reason, RejectedError

CHUNK_BYTES = 1024**2

_SPECIAL = "Only regular files are read and this is a link, a folder or a device; copy the file itself into the inbox."
# ELOOP: a symbolic link under O_NOFOLLOW (EMLINK on FreeBSD). ENXIO: a socket. ENODEV: a device without a driver.
_SPECIAL_ERRNOS = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV})


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links, folders, FIFOs, sockets and devices are refused.

    Raises:
        RejectedError: `unsupported_type` for anything that is not a regular file, `unreadable` without permission.
        FileNotFoundError: nothing is there (any more).
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except PermissionError as error:
        sentence = "The service has no permission to read this file; make it readable and drop it again."
        raise RejectedError(Reason.UNREADABLE, sentence) from error
    except OSError as error:
        if error.errno in _SPECIAL_ERRNOS:
            raise RejectedError(Reason.UNSUPPORTED_TYPE, _SPECIAL) from error
        raise
    # The descriptor is examined, not the name: the name may point elsewhere by now.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RejectedError(Reason.UNSUPPORTED_TYPE, _SPECIAL)
    return os.fdopen(descriptor, "rb")


def read_head(path: Path, max_bytes: int) -> bytes:
    """Return the first `max_bytes` bytes, fewer where the file is shorter.

    Raises:
        RejectedError: as `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(max_bytes)


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the whole file.

    Raises:
        RejectedError: `too_large` above `max_bytes`, `truncated` for an empty file, else as `open_regular`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # One byte more than fstat told is asked for: the file may have grown. Asking for the limit would reserve it.
        data = file.read(min(size, max_bytes) + 1) if size <= max_bytes else b""
    if size > max_bytes or len(data) > max_bytes:
        sentence = (
            f"The file is larger than the limit of {max_bytes // CHUNK_BYTES} MiB; "
            "send single images or raise the file size limit."
        )
        raise RejectedError(Reason.TOO_LARGE, sentence)
    if not data:
        raise RejectedError(Reason.TRUNCATED, "The file is empty; its transfer probably failed, so send it again.")
    return data


def sha256_of(path: Path, max_bytes: int | None = None) -> str:
    """Return the SHA-256 of a file in hexadecimal, read in chunks.

    Args:
        path: a regular file.
        max_bytes: give up above this size, since a sparse file costs nothing to make and minutes to read.

    Raises:
        RejectedError: `too_large` above `max_bytes`, else as `open_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        if max_bytes is not None and os.fstat(file.fileno()).st_size > max_bytes:
            sentence = f"The file is larger than the limit of {max_bytes // CHUNK_BYTES} MiB; send single images."
            raise RejectedError(Reason.TOO_LARGE, sentence)
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
