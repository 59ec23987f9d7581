"""A disk that takes nothing, without one: files that may not grow, switched on and off for a running worker."""

import resource
from contextlib import suppress

from tests.system.deployment import Worker

NOTHING_LARGER = 4096
"""Bytes a file may have while the disk is "full": less than any database, report or scan."""


def limit_files(worker: Worker, most: int) -> None:
    """No process of the worker may write a file beyond `most` bytes, now and for its children to come."""
    for process in (worker.process.pid, *worker.children):
        with suppress(ProcessLookupError):  # a child that has just been killed
            resource.prlimit(process, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
