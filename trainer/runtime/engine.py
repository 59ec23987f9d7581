"""What an engine offers the predictor.

`openvino_engine`, `openvino_int8_engine` and `torch_engine` are modules with the same two functions: `is_available()`
and `load_engine(bundle, threads, cache)`. None is for direct use, see `trainer.runtime.predictor`.
"""

from pathlib import Path
from typing import Protocol

from trainer.runtime.bundle import ModelBundle
from trainer.runtime.records import FloatArray, NetworkOutput


class EngineError(Exception):
    """The engine that was asked for cannot run here; the message says what to install or choose."""


class Engine(Protocol):
    """A network ready to run, in one process; it holds no state between calls."""

    @property
    def name(self) -> str:
        """`openvino`, `openvino-int8` or `torch`, as reports and metrics show it."""

    def run(self, batch: FloatArray) -> NetworkOutput:
        """Run letterboxed images `(n, 1, s, s)` float32 in 0..1, any `n` of at least 1."""


class Backend(Protocol):
    """A module that loads engines of one kind; one is chosen by `trainer.runtime.predictor.EngineName`."""

    def load_engine(self, bundle: ModelBundle, threads: int = 0, cache: Path | None = None) -> Engine:
        """Make the bundle's network ready to run in this process, with so many threads (0: all)."""
