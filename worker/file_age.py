"""Is what lies on the disk older than any work in hand?"""

import os
from pathlib import Path

HOUR = 3600.0
"""Younger things on the disk may be work in hand."""


def is_older(path: Path | str, now: float, seconds: float, folder: int | None = None) -> bool:
    """Has nothing happened to it for so long? What is gone is not old; what a clock since set back dated ahead is.

    `folder` is the descriptor of an open folder that `path` is relative to.
    """
    try:
        return abs(now - os.stat(path, dir_fd=folder, follow_symlinks=False).st_mtime) > seconds
    except FileNotFoundError:
        return False
