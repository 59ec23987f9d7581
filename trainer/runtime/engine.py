"""What an engine offers the predictor.

`openvino_engine` and `torch_engine` are the two, with the same two functions: `is_available()` and
`load_engine(bundle, threads, cache)`. Neither is for direct use, see `trainer.runtime.predictor`.
"""

from typing import Protocol

from trainer.runtime.records import FloatArray, NetworkOutput


class EngineError(Exception):
    """The engine that was asked for cannot run here; the message says what to install or choose."""


class Engine(Protocol):
    """A network ready to run, in one process; it holds no state between calls."""

    @property
    def name(self) -> str:
        """`openvino` or `torch`, as reports and metrics show it."""

    def run(self, batch: FloatArray) -> NetworkOutput:
        """Run letterboxed images `(n, 1, s, s)` float32 in 0..1, any `n` of at least 1."""
