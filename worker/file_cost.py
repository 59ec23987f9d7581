"""What reading one file may cost this process: seconds and memory. One that costs more spends an attempt of its own.

Three fences, the later ones for what the earlier cannot stop. An alarm, which ends whatever runs in Python. The kernel,
which gives the process no more memory, so that Python raises and a decoder in C fails or crashes. A thread that needs
no interpreter and ends the process when a loop in C never comes back. Celery's time limit of a task is behind all.
"""

import faulthandler
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from worker.errors import TooCostlyError
from worker.intake.limits import IntakeLimits

SECONDS_AGAIN_BYTES = 2 * 2**20
"""1,000 frames of JPEG 2000 are read at a second or less for each MiB; everything else is faster."""
LAST_SECONDS = 2.0
"""A decoder in C that is not done so long after the alarm is not coming back."""
STANDARD_ERROR = 2


class _OutOfTime(BaseException):
    """The alarm rang."""


def seconds_for(size_bytes: int, seconds: float) -> float:
    """How long a file of this size may take: `seconds`, and as long again for every whole 2 MiB of it."""
    return seconds * (1 + size_bytes // SECONDS_AGAIN_BYTES)


@contextmanager
def bounded_cost(path: Path, limits: IntakeLimits) -> Iterator[None]:
    """Run a block that reads a file, and may take so long, and so much memory beyond what the process has now.

    Time is bounded in the main thread only, where prefork children run their tasks, and memory only on Linux. Nothing
    in the block may change the database: it can end anywhere.

    Raises:
        TooCostlyError: it took more.
    """
    seconds = seconds_for(path.stat().st_size, limits.max_file_seconds)
    try:
        with _bounded_memory(limits.max_file_memory_bytes), _bounded_time(seconds):
            yield
    except MemoryError:
        raise TooCostlyError("it needs more memory than TRIAGE_MAX_FILE_MEMORY_KB") from None


@contextmanager
def _bounded_time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, _ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + LAST_SECONDS, exit=True, file=STANDARD_ERROR)
    try:
        try:
            yield
        finally:
            _disarm()
    except _OutOfTime:
        _disarm()  # it can ring while it is disarmed
        raise TooCostlyError("it takes longer than TRIAGE_MAX_FILE_SECONDS") from None
    finally:
        signal.signal(signal.SIGALRM, handler)
        if left:  # somebody else's alarm, pytest-timeout's for one
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - started)), interval)


def _disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


@contextmanager
def _bounded_memory(memory_bytes: int) -> Iterator[None]:
    """Of data, not of addresses: the network maps its weights, and CUDA reserves far more than there is."""
    held = _data_bytes()
    if held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + memory_bytes
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """What counts for RLIMIT_DATA (Linux 4.7: all private writable memory); `None` where the kernel does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    except FileNotFoundError:  # macOS
        return None
    return pages * resource.getpagesize()
