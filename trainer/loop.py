"""One pass over the data: training and validation, plain functions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.augment import augment
from trainer.batches import Batches
from trainer.losses import BoxAssigner, LossParts, losses
from trainer.parallel import Processes
from trainer.progress import image_bar
from trainer.recipes import Recipe
from trainer.runtime.network import NetworkTensors
from trainer.targets import Targets


class TrainingError(Exception):
    """Training cannot go on; the message says why and what to do."""


COLUMNS = ("loss", "classification", "focal", "box", "centreness", "accuracy")
"""Of `history.csv`, each with a prefix; order of `RunningMean.sums`."""


class RunningMean:
    """Means of losses and accuracy over an epoch, weighted by images; summed where the network runs, read at its end.

    Attributes:
        sums: `(7,)` float64 of `COLUMNS`, then the number of images.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(len(COLUMNS) + 1, dtype=torch.float64, device=device)

    def add(self, parts: LossParts, total: Tensor, output: NetworkTensors, targets: Targets) -> None:
        """Take one batch into account."""
        right = (output.class_logits.argmax(1) == targets.class_indices).double().mean()
        losses_of_batch = (total, parts.classification, parts.focal, parts.box, parts.centreness)
        means = [value.detach().double() for value in losses_of_batch]
        self.sums += torch.stack([*means, right, torch.ones_like(right)]) * len(targets)

    def row(self, prefix: str, processes: Processes) -> dict[str, float]:
        """The columns of `history.csv`, over what every process has seen."""
        *sums, images = processes.sum(self.sums.clone()).tolist()
        return {f"{prefix}_{name}": value / images for name, value in zip(COLUMNS, sums, strict=True)}


@dataclass(frozen=True)
class Context:
    """What every step of a run shares.

    Attributes:
        recipe: of the run.
        size: side of the images that are trained on, pixels.
        device: where the network is.
        precision: the autocast type, `None` for float32.
        assigner: `None` where the recipe has no boxes.
        processes: who takes part.
    """

    recipe: Recipe
    size: int
    device: torch.device
    precision: torch.dtype | None
    assigner: BoxAssigner | None
    processes: Processes

    def autocast(self) -> torch.autocast:
        """The autocast context of a forward pass."""
        return torch.autocast(
            self.device.type, dtype=self.precision or torch.bfloat16, enabled=self.precision is not None
        )

    def to_device(self, images: Tensor) -> Tensor:
        """Images as the network wants them."""
        return images.to(self.device).contiguous(memory_format=torch.channels_last)


def train_one_epoch(
    network: nn.Module,
    batches: Batches,
    optimizer: Optimizer,
    context: Context,
    after_step: Callable[[], None],
    title: str,
) -> dict[str, float]:
    """Train on every batch once; `after_step` moves schedule and averages.

    Returns:
        The `train_` columns of `history.csv`.

    Raises:
        TrainingError: the loss is not finite.
    """
    recipe, mean = context.recipe, RunningMean(context.device)
    with image_bar(title, len(batches.order), shown=context.processes.is_first) as advance:
        for batch in batches:
            images, targets = augment(batch.to(context.device), context.size, recipe.augmentation)
            with context.autocast():
                output = network(context.to_device(images))
            parts = losses(output, targets, context.assigner, recipe.label_smoothing)
            total = parts.total()
            if not math.isfinite(total.item()):
                raise TrainingError(
                    f"the loss became {total.item()} in {title}: start again with lower learning rates "
                    "(--rate-scale 0.3), or without the images that cause it (python -m trainer.audit)."
                )
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            if recipe.gradient_limit is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_limit)
            optimizer.step()
            after_step()
            mean.add(parts, total, output, targets)
            advance(len(targets))
    return mean.row("train", context.processes)


@torch.inference_mode()
def validate(network: nn.Module, batches: Batches, context: Context) -> dict[str, float]:
    """Losses and accuracy on images as they are: the `validation_` columns of `history.csv`."""
    network.eval()
    mean = RunningMean(context.device)
    for batch in batches:
        on_device = batch.to(context.device)
        with context.autocast():
            output = network(context.to_device(on_device.images.float() / 255.0))
        parts = losses(output, on_device.targets, context.assigner, 0.0)
        mean.add(parts, parts.total(), output, on_device.targets)
    return mean.row("validation", context.processes)
