"""Train and Val as torch data sets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from trainer.grey import read_grey
from trainer.labels import Sample, lesions_of
from trainer.runtime.preprocess import letterbox
from trainer.targets import Target, Targets
from trainer.terminal import PROGRESS


@dataclass(frozen=True)
class Batch:
    """Images `(n, 1, size, size)` uint8 and their targets."""

    images: Tensor
    targets: Targets

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(self.images.to(device), self.targets.to(device))


def _load(sample: Sample, size: int, cut_to_head: bool) -> tuple[Tensor, Target]:
    grey = read_grey(sample.image_path)
    square, fitted = letterbox(grey, size, cut_to_head)
    lesions = lesions_of(sample)
    in_pixels = lesions.xyxy * np.array([grey.shape[1], grey.shape[0]] * 2, np.float32)
    target = Target(
        sample.class_index,
        torch.from_numpy(fitted.to_network(in_pixels)),
        torch.from_numpy(lesions.channels),
        lesions.complete,
    )
    return torch.from_numpy(square)[None], target


class BrainTumorTestDataset(Dataset[tuple[Tensor, Target]]):
    """Images as they are, decoded once and kept in memory as uint8 (Val, or a held-out part of Train).

    Attributes:
        samples: the images' records.
        size: side of the square they are fitted into, pixels.
        images: `(n, 1, size, size)` uint8.
        targets: theirs, boxes in pixels of that square.
    """

    def __init__(self, samples: Sequence[Sample], size: int, cut_to_head: bool = False) -> None:
        self.samples = list(samples)
        self.size = size
        title = f"reading {len(self.samples)} images"
        loaded = [_load(sample, size, cut_to_head) for sample in track(self.samples, title, console=PROGRESS)]
        self.images = torch.stack([image for image, _ in loaded])
        self.targets = Targets.of([target for _, target in loaded])

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        return self.images[index], self.targets.one(index)

    def batch(self, indices: Tensor) -> Batch:
        """The images and targets of `indices` `(n,)`, on the device the images are kept on."""
        return Batch(self.images[indices.to(self.images.device)], self.targets.select(indices))

    def keep_on(self, device: torch.device) -> None:
        """Move all images and targets into the memory of `device`."""
        self.images, self.targets = self.images.to(device), self.targets.to(device)

    @property
    def class_indices(self) -> npt.NDArray[np.int64]:
        """Index into `CLASSES` of every image, `(n,)`."""
        return np.array([sample.class_index for sample in self.samples], np.int64)


class BrainTumorDataset(BrainTumorTestDataset):
    """Train: the same with sampling weights; `trainer.augment` varies images batch by batch.

    Attributes:
        groups: `(n,)` of the samples, of which rare ones are drawn more often: their classes, or finer.
        made_weights: `(k,)` float64, how often each of the last `k` images, which are no scans
            (`trainer.counterfactual`), is drawn among them.
    """

    def __init__(self, samples: Sequence[Sample], size: int, cut_to_head: bool = False) -> None:
        super().__init__(samples, size, cut_to_head)
        self.groups = self.class_indices
        self.made_weights = torch.zeros(0, dtype=torch.float64)

    def add_made(self, images: Tensor, targets: Targets, weights: Tensor) -> None:
        """Append images that were made from the others; `samples` stays as it is.

        Args:
            images: `(k, 1, size, size)` uint8.
            targets: theirs.
            weights: `(k,)` float64, how often each is drawn among them, sum 1.
        """
        self.images, self.targets = torch.cat([self.images, images]), Targets.joined([self.targets, targets])
        self.made_weights = weights

    def sampling_weights(self, made_share: float) -> Tensor:
        """How often each image is drawn `(n,)`, sum 1.

        Rare groups are drawn more often, by the square root of their rarity; made images are together `made_share`
        of all.
        """
        scans = torch.from_numpy(1.0 / np.sqrt(np.bincount(self.groups)[self.groups]))
        share = made_share if len(self.made_weights) else 0.0
        return torch.cat([scans / scans.sum() * (1 - share), self.made_weights * share])
