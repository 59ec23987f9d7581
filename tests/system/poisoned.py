"""`celery -A tests.system.poisoned worker`: the worker, whose reader some files do harm to.

Stands for a decoder with a bug that nobody knows of. A file carries the kind of harm behind its own content: done when
it is taken in, or only when its study is analysed.
"""

import ctypes
import signal
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from worker.celery import app
from worker.domain import ReadInstance
from worker.intake.read import read_instance
from worker.steps import intake, pixels

__all__ = ["Poison", "app"]

MEMORY_CHUNK = 16 * 2**20


class Poison(StrEnum):
    """What becomes of a process that reads the file."""

    CRASH = "crash"
    MEMORY = "memory"
    LOOP = "loop"
    LOOP_IN_C = "loop-in-c"

    @property
    def mark(self) -> bytes:
        """Stands at the end of the file."""
        return f" poison: {self.value}".encode()

    @property
    def mark_for_analysis(self) -> bytes:
        """Stands there where the file is taken in unharmed."""
        return f" poison of the analysis: {self.value}".encode()

    def do_harm(self) -> None:
        """Never returns."""
        match self:
            case Poison.CRASH:
                ctypes.string_at(0)
            case Poison.MEMORY:
                eaten = []
                while True:
                    eaten.append(b"x" * MEMORY_CHUNK)
            case Poison.LOOP:
                while True:
                    pass
            case Poison.LOOP_IN_C:
                # deaf to signals, with the interpreter's lock held
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
                ctypes.PyDLL(None).pause()


def _poisoned(mark_of: Callable[[Poison], bytes]) -> Callable[..., ReadInstance]:
    def read(path: Path, *arguments: Any) -> ReadInstance:
        content = path.read_bytes()
        for poison in Poison:
            if content.endswith(mark_of(poison)):
                poison.do_harm()
        return read_instance(path, *arguments)

    return read


intake.read_instance = _poisoned(lambda poison: poison.mark)
pixels.read_instance = _poisoned(lambda poison: poison.mark_for_analysis)
