"""Batches cut from a data set that is held in memory, of the computer or of the GPU: no worker processes, no copies."""

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from trainer.dataset import Batch, BrainTumorDataset, BrainTumorTestDataset
from trainer.recipes import Recipe

GPU_SHARE_FOR_IMAGES = 0.5
"""Of the free GPU memory; what is left is for the network's activations."""


class Batches:
    """The images of `dataset` in `order` `(n,)`, `batch_size` at a time; the last batch may be smaller."""

    def __init__(self, dataset: BrainTumorTestDataset, order: Tensor, batch_size: int) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        # a batch norm cannot be trained on one image that shrinks to one place
        self.order = order[:-1] if len(order) > 1 and len(order) % batch_size == 1 else order

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for indices in self.order.split(self.batch_size):
            yield self.dataset.batch(indices)


def training_order(dataset: BrainTumorDataset, recipe: Recipe, generator: Generator) -> Tensor:
    """Which images one epoch sees, `(n,)` int64: all; where the recipe balances, drawn by class in whole batches."""
    if not recipe.balanced:
        return torch.randperm(len(dataset), generator=generator)
    count = len(dataset) // recipe.batch_size * recipe.batch_size
    weights = dataset.sampling_weights(recipe.counterfactual_share)
    return torch.multinomial(weights, count, replacement=True, generator=generator)


def place_for(images: Tensor, device: torch.device) -> torch.device:
    """Where to keep `images`: on the GPU when they take less than `GPU_SHARE_FOR_IMAGES` of it, else where they are."""
    if device.type != "cuda":
        return images.device
    free, _ = torch.cuda.mem_get_info(device)
    return device if images.nbytes < GPU_SHARE_FOR_IMAGES * free else images.device
