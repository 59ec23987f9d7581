"""The network with its ImageNet start, and which of its parameters learn how fast."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import ResNet50_Weights

from trainer.labels import DatasetError
from trainer.runtime.network import BrainTumorClassifier

__all__ = [
    "BrainTumorClassifier",
    "freeze",
    "load_start_weights",
    "parameter_groups",
    "set_training_mode",
    "training_precision",
]

STEM_PLACES = {"conv1": "stem.0", "bn1": "stem.1"}
BODY = ("stem", "layer1", "layer2", "layer3", "layer4")


def start_state(weights: Path | None) -> dict[str, Tensor]:
    """Weights by name: from a local safetensors file, else ImageNet's by torchvision's API.

    Raises:
        DatasetError: the file is missing or broken, or the download failed; the message says what to do.
    """
    if weights is not None:
        if not weights.is_file():
            raise DatasetError(f"{weights} is missing: --weights must name a safetensors file with ResNet-50 weights.")
        try:
            return load_file(weights)
        except (OSError, SafetensorError) as error:
            raise DatasetError(
                f"{weights} cannot be read as safetensors ({error}): --weights must name one with ResNet-50 weights."
            ) from error
    try:
        # those of the published notebook (pretrained=True), and of every figure in docs/training.md
        return dict(ResNet50_Weights.IMAGENET1K_V1.get_state_dict(progress=True))
    except OSError as error:
        raise DatasetError(
            f"the ImageNet weights could not be downloaded ({error}): pass --weights FILE.safetensors, or --scratch."
        ) from error


def load_start_weights(model: BrainTumorClassifier, weights: Path | None) -> bool:
    """Fill `model` with the weights training starts from.

    Those of torchvision's ResNet-50 become its body: `conv1` and `bn1` its stem, `fc` is left out. Those of another run
    of this network become all of it.

    Returns:
        Whether they are of another run: then they have seen its training images.

    Raises:
        DatasetError: there are no such weights, or they are of another network.
    """
    state = start_state(weights)
    names = list(model.state_dict())
    if "classifier.weight" in state:
        _fill(model, state, names, "the weights are of another network than this recipe's")
        return True
    renamed = {}
    for name, tensor in state.items():
        top, _, rest = name.partition(".")
        if top != "fc":
            ours = f"{STEM_PLACES.get(top, top)}.{rest}"
            renamed[ours] = tensor.float() if tensor.is_floating_point() else tensor
    of_body = [name for name in names if name.split(".")[0] in BODY]
    _fill(model, renamed, of_body, "these are not torchvision ResNet-50 weights")
    return False


def _fill(model: BrainTumorClassifier, state: dict[str, Tensor], needed: Sequence[str], complaint: str) -> None:
    """Load weights, all of which must have a place, and all of `needed` be there.

    Raises:
        DatasetError: some have none, are missing, or of another shape; `complaint` and which.
    """
    wanted = model.state_dict()
    missing = [name for name in needed if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted]
    misshapen = [name for name in state if name in wanted and state[name].shape != wanted[name].shape]
    if missing or unexpected or misshapen:
        raise DatasetError(
            f"{complaint}: missing {missing[:3]}, unexpected {unexpected[:3]}, of another shape {misshapen[:3]}."
        )
    model.load_state_dict(state, strict=False)


def freeze(model: BrainTumorClassifier, stages: int) -> None:
    """Stop learning in the first `stages` body stages; the backward pass ends there."""
    for stage in model.body_modules()[:stages]:
        stage.requires_grad_(False)


def set_training_mode(model: BrainTumorClassifier, frozen_stages: int) -> None:
    """Training mode, with the frozen stages' batch statistics left alone."""
    model.train()
    for stage in model.body_modules()[:frozen_stages]:
        stage.eval()


def parameter_groups(
    model: BrainTumorClassifier, body_rate: float, head_rate: float, stage_rate_decay: float
) -> list[dict[str, object]]:
    """AdamW parameter groups: each body stage learns `stage_rate_decay` times slower than the one behind it."""
    groups: list[dict[str, object]] = []
    for depth, stage in enumerate(reversed(model.body_modules())):
        learning = [parameter for parameter in stage.parameters() if parameter.requires_grad]
        if learning:
            groups.append({"params": learning, "lr": body_rate * stage_rate_decay**depth})
    new = [parameter for module in model.new_modules() for parameter in module.parameters()]
    groups.append({"params": new, "lr": head_rate})
    return groups


def training_precision(device: torch.device) -> torch.dtype | None:
    """The autocast type: bfloat16 where the hardware computes in it, else `None` for full precision."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else None
