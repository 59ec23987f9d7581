"""The fast CPU engine: the int8 graph of `trainer.quantize` under OpenVINO. See `trainer.runtime.predictor`.

Its convolutions are computed in int8, also on CPUs without int8 instructions of their own (VNNI, AMX); the rest in
float32. Its answers differ a little from the other engines' (docs/training.md, Int8).
"""

from pathlib import Path

from trainer.runtime import openvino_engine
from trainer.runtime.bundle import INT8_GRAPH, ModelBundle
from trainer.runtime.engine import EngineError
from trainer.runtime.openvino_engine import OpenVinoEngine


def is_available() -> bool:
    """Whether OpenVINO is installed; does not import it."""
    return openvino_engine.is_available()


def load_engine(bundle: ModelBundle, threads: int = 0, cache: Path | None = None) -> OpenVinoEngine:
    """Compile the bundle's int8 graph for this machine's CPU; arguments as of `openvino_engine.compile_graph`.

    Raises:
        EngineError: the model has no int8 graph; OpenVINO is not installed, or cannot read the graph.
    """
    if not bundle.has_int8:
        raise EngineError(
            f"{bundle.folder} has no int8 graph: add it by python -m trainer.quantize --model {bundle.folder} "
            "--data DATA, or choose the openvino engine."
        )
    return OpenVinoEngine(openvino_engine.compile_graph(bundle.folder / INT8_GRAPH, threads, cache), "openvino-int8")
