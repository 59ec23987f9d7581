"""The GPU engine: the network itself under torch. Not for direct use, see `trainer.runtime.predictor`.

torch is imported inside the functions only: it costs four seconds, and the CPU worker does without it.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.runtime.bundle import WEIGHTS, ModelBundle
from trainer.runtime.engine import EngineError
from trainer.runtime.records import FloatArray, NetworkOutput

GPU_SIGNS = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Any of these exists where an NVIDIA driver runs (the last under WSL)."""


def is_available() -> bool:
    """Whether torch is installed; does not import it."""
    return importlib.util.find_spec("torch") is not None


def has_gpu() -> bool:
    """Whether torch can use a GPU here; imports torch only where a driver shows."""
    if not is_available() or not any(sign.exists() for sign in GPU_SIGNS):
        return False
    import torch

    return torch.cuda.is_available()


@dataclass(frozen=True)
class TorchEngine:
    """A network on its device; `name` says torch on reports."""

    network: Any
    device: str
    name: str = "torch"

    def run(self, batch: FloatArray) -> NetworkOutput:
        """Run `(n, 1, s, s)` float32 in 0..1: bfloat16 on a GPU, float32 on a CPU; the outputs are always float32."""
        import torch

        images = torch.from_numpy(np.ascontiguousarray(batch, np.float32)).to(self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        on_gpu = self.device == "cuda"
        with torch.inference_mode(), torch.autocast(self.device, dtype=torch.bfloat16, enabled=on_gpu):
            output = self.network(images)
        return NetworkOutput(*(tensor.float().cpu().numpy() for tensor in output))


def load_engine(
    bundle: ModelBundle,
    threads: int = 0,
    cache: Path | None = None,  # noqa: ARG001 - the same arguments for every engine
) -> TorchEngine:
    """Load the bundle's weights onto the GPU, or onto the CPU where there is none (for tests and comparison).

    Args:
        bundle: the model folder.
        threads: CPU threads; 0 leaves the number to torch. Without effect on a GPU.
        cache: not used.

    Raises:
        EngineError: torch is not installed, or the weights are not this network's.
    """
    if not is_available():
        raise EngineError("torch is not installed: run `make install-gpu`, or choose the openvino engine.")
    import torch

    return load_engine_on(bundle, "cuda" if torch.cuda.is_available() else "cpu", threads)


def load_engine_on(bundle: ModelBundle, device: str, threads: int) -> TorchEngine:
    """The same on a device that is named, `cuda` or `cpu`; torch is installed.

    Raises:
        EngineError: the weights are not this network's.
    """
    import torch
    from safetensors.torch import load_file

    from trainer.runtime.folding import inference_network

    if threads and device == "cpu":
        torch.set_num_threads(threads)
    try:
        network = inference_network(load_file(bundle.folder / WEIGHTS))
    except RuntimeError as error:
        raise EngineError(f"{bundle.folder / WEIGHTS} does not fit this version's network: {error}") from error
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TorchEngine(network, device)
