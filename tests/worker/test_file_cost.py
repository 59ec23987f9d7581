"""What reading a file may cost: time, memory, and what is left as it was afterwards."""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from worker import file_cost
from worker.errors import RejectedError, TooCostlyError
from worker.file_cost import SECONDS_AGAIN_BYTES, bounded_cost, seconds_for
from worker.intake.limits import IntakeLimits

QUICK = IntakeLimits(max_file_seconds=0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "scan"
    found.write_bytes(b"scan")
    return found


def loop() -> None:
    while True:
        pass


def test_a_large_file_may_take_longer() -> None:
    assert seconds_for(SECONDS_AGAIN_BYTES - 1, 10) == 10
    assert seconds_for(SECONDS_AGAIN_BYTES, 10) == 20
    assert seconds_for(10 * SECONDS_AGAIN_BYTES, 10) == 110


def test_a_loop_ends(path: Path) -> None:
    with pytest.raises(TooCostlyError, match="TRIAGE_MAX_FILE_SECONDS"), bounded_cost(path, QUICK):
        loop()


def test_a_library_cannot_swallow_the_end(path: Path) -> None:
    def decoder() -> None:
        try:
            loop()
        except Exception as error:
            raise RejectedError from error

    with pytest.raises(TooCostlyError), bounded_cost(path, QUICK):
        decoder()


def test_time_enough_leaves_no_alarm(path: Path) -> None:
    with bounded_cost(path, QUICK):
        pass
    time.sleep(0.1)
    assert signal.getsignal(signal.SIGALRM) is not file_cost._ring


def test_the_alarm_of_somebody_else_rings_when_it_would_have(path: Path) -> None:
    rung: list[float] = []
    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic() - started))
    others = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(TooCostlyError), bounded_cost(path, QUICK):
            loop()
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert left <= 0.25
        time.sleep(0.35)
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *others)
    assert len(rung) == 1
    assert rung[0] >= 0.3


def test_outside_of_the_main_thread_time_is_not_bounded(path: Path) -> None:
    done: list[str] = []

    def work() -> None:
        with bounded_cost(path, QUICK):
            time.sleep(0.1)
        done.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["done"]


def run(script: str) -> subprocess.CompletedProcess[bytes]:
    """In a process of its own: what it holds, and what it does to itself, is nobody else's."""
    environment = {"PYTHONPATH": str(Path(file_cost.__file__).parents[1])}
    command = [sys.executable, "-c", script, file_cost.__file__]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


GREEDY = """
import resource, sys
from itertools import count
from pathlib import Path
from worker.errors import TooCostlyError
from worker.file_cost import bounded_cost
from worker.intake.limits import IntakeLimits
CHUNK = 48 * 2**20  # more than malloc ever keeps for itself, 32 MiB: none of it was freed before
before, eaten = resource.getrlimit(resource.RLIMIT_DATA), []
try:
    with bounded_cost(Path(sys.argv[1]), IntakeLimits(max_file_memory_bytes=10 * CHUNK)):
        eaten.extend(b"x" * CHUNK for _ in count())
except TooCostlyError as error:
    print(error, len(eaten))
assert resource.getrlimit(resource.RLIMIT_DATA) == before
print(len(b"x" * (12 * CHUNK)) == 12 * CHUNK)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the kernel does not say how much memory is held")
def test_memory_without_end_is_an_error_and_the_limit_goes_again() -> None:
    ended = run(GREEDY)
    sentence, chunks, again = re.fullmatch(rb"(.*) (\d+)\n(.*)\n", ended.stdout).groups()  # type: ignore[union-attr]
    assert b"TRIAGE_MAX_FILE_MEMORY_KB" in sentence
    assert 8 <= int(chunks) <= 10
    assert (again, ended.returncode, ended.stderr) == (b"True", 0, b"")


DEAF = """
import ctypes, signal, sys
from pathlib import Path
from worker import file_cost
from worker.intake.limits import IntakeLimits
file_cost.LAST_SECONDS = 0.2
with file_cost.bounded_cost(Path(sys.argv[1]), IntakeLimits(max_file_seconds=0.1)):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    ctypes.PyDLL(None).pause()
"""


def test_a_loop_in_c_ends_with_its_process() -> None:
    ended = run(DEAF)
    assert ended.returncode == 1
    assert b"Timeout" in ended.stderr
