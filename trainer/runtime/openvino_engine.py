"""The CPU engine: the exported graph under OpenVINO, in float32. Not for direct use: `trainer.runtime.predictor`.

OpenVINO is imported, and its threads start, only inside `load_engine`: a network that ran before the worker's prefork
hangs every child for ever (docs/architecture.md).
"""

import fcntl
import importlib.util
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.runtime.bundle import GRAPH, ModelBundle
from trainer.runtime.engine import EngineError
from trainer.runtime.openvino_import import openvino_core
from trainer.runtime.records import FloatArray, NetworkOutput

logger = logging.getLogger(__name__)

CACHE_LOCK = ".lock"
LONGEST_TURN_SECONDS, LOOK_SECONDS = 60.0, 0.05


def is_available() -> bool:
    """Whether OpenVINO is installed; does not import it."""
    return importlib.util.find_spec("openvino") is not None


@dataclass(frozen=True)
class OpenVinoEngine:
    """A compiled graph; `name` says so on reports."""

    compiled: Any
    name: str = "openvino"

    def run(self, batch: FloatArray) -> NetworkOutput:
        """Run `(n, 1, s, s)` float32 in 0..1; the outputs are in the order of `NetworkOutput`."""
        request = self.compiled.create_infer_request()
        request.infer([np.ascontiguousarray(batch, np.float32)])
        # copied: the request's own memory goes with it
        outputs = [np.array(request.get_output_tensor(index).data, np.float32) for index in range(5)]
        return NetworkOutput(*outputs)


def load_engine(bundle: ModelBundle, threads: int = 0, cache: Path | None = None) -> OpenVinoEngine:
    """Compile the bundle's graph for this machine's CPU, as `compile_graph` does."""
    return OpenVinoEngine(compile_graph(bundle.folder / GRAPH, threads, cache))


def compile_graph(graph: Path, threads: int, cache: Path | None) -> Any:
    """Compile a graph for this machine's CPU.

    Args:
        graph: its .xml file, the .bin beside it.
        threads: inference threads; 0 leaves the number to OpenVINO (all cores).
        cache: folder for compiled graphs, which makes the next start faster; `None` for none.

    Raises:
        EngineError: OpenVINO is not installed, or cannot read the graph.
    """
    if not is_available():
        raise EngineError("OpenVINO is not installed: run `make install`.")
    core = openvino_core()
    # f32: CPUs with AMX would otherwise compute in bf16, and the same scan get another probability there.
    # It leaves alone what a graph holds in int8.
    options: dict[str, object] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    if cache is not None:
        try:
            with _alone_in(cache):
                return core.compile_model(graph, "CPU", options | {"CACHE_DIR": str(cache)})
        except (OSError, RuntimeError) as error:
            logger.warning("the cache of compiled graphs is of no use (%s); compiling without", error)
    try:
        return core.compile_model(graph, "CPU", options)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot load {graph}: {error}") from error


@contextmanager
def _alone_in(cache: Path) -> Iterator[None]:
    """One process at a time: OpenVINO maps what is there, and who maps what another is still writing dies of SIGBUS.

    Raises:
        OSError: there is no such folder, no locks on it, or another process has stood still in it for long.
    """
    cache.mkdir(parents=True, exist_ok=True)
    lock = os.open(cache / CACHE_LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        end = time.monotonic() + LONGEST_TURN_SECONDS
        while not _has_lock(lock):
            if time.monotonic() > end:
                raise TimeoutError("another process has kept it locked")
            time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(lock)


def _has_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
