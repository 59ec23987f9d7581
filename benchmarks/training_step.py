"""`python -m benchmarks.training_step`: images a second of one training step, in each way the trainer could run it.

The baseline, float32 in torch's plain memory order, runs in the same process. Every way makes two steps to warm up;
the table shows the fastest of the steps after them, since other work on the machine only ever slows a step down.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from trainer.augment import augment
from trainer.dataset import Batch
from trainer.losses import BoxAssigner, losses
from trainer.model import freeze, parameter_groups, set_training_mode
from trainer.parallel import Processes
from trainer.recipes import RECIPES, Recipe
from trainer.runtime.network import BrainTumorClassifier
from trainer.targets import Target, Targets

WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Way:
    """One way to run a step."""

    name: str
    channels_last: bool = False
    bfloat16: bool = False
    compiled: bool = False


BASELINE = Way("float32, plain memory order")
WAYS = (
    BASELINE,
    Way("float32, channels_last", channels_last=True),
    Way("bfloat16, channels_last (the trainer's)", channels_last=True, bfloat16=True),
    Way("the same, torch.compile", channels_last=True, bfloat16=True, compiled=True),
)


def made_up_batch(recipe: Recipe, device: torch.device) -> Batch:
    """Noise with one box an image: the work does not depend on what is seen."""
    generator = np.random.default_rng(0)
    size = recipe.size
    images = generator.integers(0, 255, (recipe.batch_size, 1, size, size), dtype=np.uint8)
    box = torch.tensor([[size * 0.3, size * 0.3, size * 0.5, size * 0.6]])
    targets = Targets.of([Target(0, box, torch.zeros(1, dtype=torch.int64), complete=True)] * recipe.batch_size)
    return Batch(torch.from_numpy(images), targets).to(device)


def step_seconds(recipe: Recipe, way: Way, device: torch.device, steps: int) -> Iterator[float]:
    """Seconds of each step after the warm-up, augmentation and optimizer included."""
    torch.manual_seed(0)
    order = torch.channels_last if way.channels_last else torch.contiguous_format
    model = BrainTumorClassifier(dropout=recipe.dropout, boxes=recipe.boxes)
    freeze(model, recipe.frozen_stages)
    model = model.to(device, memory_format=order)  # type: ignore[call-overload]
    set_training_mode(model, recipe.frozen_stages)
    if way.compiled:
        model.compile()
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.body_rate, recipe.head_rate, recipe.stage_rate_decay))
    assigner = BoxAssigner(recipe.size, device) if recipe.boxes else None
    batch = made_up_batch(recipe, device)
    for step in range(WARM_UP_STEPS + steps):
        begun = time.perf_counter()
        images, targets = augment(batch, recipe.size, recipe.augmentation)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=way.bfloat16):
            output = model(images.contiguous(memory_format=order))
        total = losses(output, targets, assigner, recipe.label_smoothing).total()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        total.item()  # waits for a GPU
        if step >= WARM_UP_STEPS:
            yield time.perf_counter() - begun


def main() -> None:
    """Measure every way and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_step", description=__doc__)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="default")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="also with torch.compile, which takes a minute to begin")
    parsed = parser.parse_args()
    recipe = replace(RECIPES[parsed.recipe], size=parsed.size, batch_size=parsed.batch_size)
    device = Processes().device
    table = Table(
        title=f"one training step, recipe {recipe.name}, {recipe.size} px, {recipe.batch_size} images, {device}"
    )
    for heading in ("way", "seconds", "images/s", "against the baseline"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    baseline = None
    for way in WAYS:
        if way.compiled and not parsed.compile:
            continue
        seconds = min(step_seconds(recipe, way, device, parsed.steps))
        baseline = baseline or seconds
        table.add_row(way.name, f"{seconds:.2f}", f"{recipe.batch_size / seconds:.1f}", f"{baseline / seconds:.2f} ×")
    Console().print(table)


if __name__ == "__main__":
    main()
