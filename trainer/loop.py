"""One pass over the data: training and validation, plain functions."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.augment import augment
from trainer.dataset import Batch, Target
from trainer.losses import BoxAssigner, LossParts, losses
from trainer.recipes import Recipe
from trainer.runtime.network import NetworkTensors

GRADIENT_LIMIT = 5.0


class Batches(Protocol):
    """Batches that can be counted and walked through: a `DataLoader` with `trainer.dataset.collate`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class TrainingError(Exception):
    """Training cannot go on; the message says why and what to do."""


@dataclass
class RunningMean:
    """Means of losses and accuracy over an epoch, weighted by images."""

    loss: float = 0.0
    classification: float = 0.0
    focal: float = 0.0
    box: float = 0.0
    centreness: float = 0.0
    correct: float = 0.0
    images: int = 0

    def add(self, parts: LossParts, total: Tensor, output: NetworkTensors, targets: list[Target]) -> None:
        """Take one batch into account."""
        count = len(targets)
        self.loss += total.item() * count
        for part in fields(parts):
            setattr(self, part.name, getattr(self, part.name) + getattr(parts, part.name).item() * count)
        wanted = torch.tensor([target.class_index for target in targets], device=output.class_logits.device)
        self.correct += (output.class_logits.argmax(1) == wanted).sum().item()
        self.images += count

    def row(self, prefix: str) -> dict[str, float]:
        """Columns of `history.csv`."""
        names = ("loss", "classification", "focal", "box", "centreness")
        row = {f"{prefix}_{name}": getattr(self, name) / self.images for name in names}
        return row | {f"{prefix}_accuracy": self.correct / self.images}


@dataclass(frozen=True)
class Context:
    """What every step of a run shares; `precision` is the autocast type, `None` for float32."""

    recipe: Recipe
    device: torch.device
    precision: torch.dtype | None
    assigner: BoxAssigner

    def autocast(self) -> torch.autocast:
        """The autocast context of a forward pass."""
        return torch.autocast(
            self.device.type, dtype=self.precision or torch.bfloat16, enabled=self.precision is not None
        )

    def total(self, parts: LossParts) -> Tensor:
        """The loss that is minimised: boxes take part only where the recipe trains them."""
        return parts.total() if self.recipe.boxes else parts.classification


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    optimizer: Optimizer,
    context: Context,
    after_step: Callable[[], None],
    title: str,
) -> RunningMean:
    """Train on every batch once; `after_step` moves schedule and averages.

    Raises:
        TrainingError: the loss is not finite.
    """
    mean = RunningMean()
    for batch in track(batches, title, total=len(batches)):
        images, targets = augment(batch, context.recipe.size, context.recipe.augmentation)
        images = images.to(context.device).contiguous(memory_format=torch.channels_last)
        with context.autocast():
            output = model(images)
        parts = losses(output, targets, context.assigner, context.recipe.label_smoothing)
        total = context.total(parts)
        if not math.isfinite(total.item()):
            raise TrainingError(f"the loss became {total.item()} in {title}: lower the learning rates of the recipe.")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_LIMIT)
        optimizer.step()
        after_step()
        mean.add(parts, total, output, targets)
    return mean


@torch.inference_mode()
def validate(model: nn.Module, batches: Batches, context: Context) -> RunningMean:
    """Losses and accuracy on images as they are."""
    model.eval()
    mean = RunningMean()
    for batch in batches:
        images = (batch.images.float() / 255.0).to(context.device).contiguous(memory_format=torch.channels_last)
        with context.autocast():
            output = model(images)
        parts = losses(output, batch.targets, context.assigner, 0.0)
        mean.add(parts, context.total(parts), output, batch.targets)
    return mean
