"""A network as the worker would run it, under torch and before any calibration: of a run that is not exported."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from trainer.runtime.bundle import ModelBundle
from trainer.runtime.decision import Calibration
from trainer.runtime.folding import inference_network
from trainer.runtime.predictor import Predictor
from trainer.runtime.torch_engine import TorchEngine


def uncalibrated_predictor(
    folder: Path,
    weights: Mapping[str, Tensor],
    input_size: int,
    cut_to_head: bool,
    device: torch.device = torch.device("cpu"),  # noqa: B008  a constant
    *,
    flip_tta: bool = False,
) -> Predictor:
    """Make it.

    Args:
        folder: of the run, which names the model.
        weights: of the network, by name.
        input_size: side of the network's input, pixels.
        cut_to_head: whether the network is shown images cut to the head.
        device: where it runs.
        flip_tta: look at every image a second time, mirrored, and average.
    """
    bundle = ModelBundle(folder, folder.name, input_size, flip_tta, Calibration(), "", None, cut_to_head=cut_to_head)
    return Predictor(bundle, TorchEngine(inference_network(dict(weights)).to(device), device.type))
