"""One pass over the data: training and validation, plain functions."""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.augment import augment
from trainer.batches import Batches
from trainer.dataset import Target
from trainer.losses import BoxAssigner, LossParts, losses
from trainer.parallel import Processes
from trainer.progress import image_bar
from trainer.recipes import Recipe
from trainer.runtime.network import NetworkTensors


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

    def of_all(self, processes: Processes) -> "RunningMean":
        """The mean over what every process has seen."""
        sums = processes.sum(torch.tensor(astuple(self), dtype=torch.float64, device=processes.device))
        loss, classification, focal, box, centreness, correct, images = sums.tolist()
        return RunningMean(loss, classification, focal, box, centreness, correct, int(images))

    def row(self, prefix: str) -> dict[str, float]:
        """Columns of `history.csv`."""
        names = ("loss", "classification", "focal", "box", "centreness")
        row = {f"{prefix}_{name}": getattr(self, name) / self.images for name in names}
        return row | {f"{prefix}_accuracy": self.correct / self.images}


@dataclass(frozen=True)
class Context:
    """What every step of a run shares.

    Attributes:
        recipe: of the run.
        device: where the network is.
        precision: the autocast type, `None` for float32.
        assigner: `None` where the recipe has no boxes.
        processes: who takes part.
    """

    recipe: Recipe
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
) -> RunningMean:
    """Train on every batch once; `after_step` moves schedule and averages.

    Raises:
        TrainingError: the loss is not finite.
    """
    recipe, mean = context.recipe, RunningMean()
    with image_bar(title, len(batches.order), shown=context.processes.is_first) as advance:
        for batch in batches:
            images, targets = augment(batch.to(context.device), recipe.size, recipe.augmentation)
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
    return mean.of_all(context.processes)


@torch.inference_mode()
def validate(network: nn.Module, batches: Batches, context: Context) -> RunningMean:
    """Losses and accuracy on images as they are."""
    network.eval()
    mean = RunningMean()
    for batch in batches:
        on_device = batch.to(context.device)
        with context.autocast():
            output = network(context.to_device(on_device.images.float() / 255.0))
        parts = losses(output, on_device.targets, context.assigner, 0.0)
        mean.add(parts, parts.total(), output, on_device.targets)
    return mean.of_all(context.processes)
