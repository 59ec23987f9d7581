"""Train and Val as torch data sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from trainer.labels import DatasetError, Sample, lesions_of
from trainer.runtime.preprocess import letterbox


@dataclass(frozen=True)
class Target:
    """What one image teaches.

    Attributes:
        class_index: index into `CLASSES` (the folder).
        xyxy: `(n, 4)` float32 boxes in network pixels.
        channels: `(n,)` int64 box channel (`LESION_CLASSES`, then gland).
        complete: False when an unmarked tumour is in the picture: the box loss skips it.
    """

    class_index: int
    xyxy: Tensor
    channels: Tensor
    complete: bool

    def to(self, device: torch.device) -> "Target":
        """The same on another device."""
        return replace(self, xyxy=self.xyxy.to(device), channels=self.channels.to(device))


@dataclass(frozen=True)
class Batch:
    """Images `(n, 1, size, size)` uint8 and their targets."""

    images: Tensor
    targets: list[Target]

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(self.images.to(device), [target.to(device) for target in self.targets])


def _load(sample: Sample, size: int) -> tuple[Tensor, Target]:
    try:
        with Image.open(sample.image_path) as image:
            grey = np.asarray(image.convert("L"))
    except OSError as error:
        raise DatasetError(f"{sample.image_path} cannot be read ({error}): repair or remove it.") from error
    square, fitted = letterbox(grey, size)
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
        targets: one an image.
    """

    def __init__(self, samples: Sequence[Sample], size: int) -> None:
        self.samples = list(samples)
        self.size = size
        title = f"reading {len(self.samples)} images"
        loaded = [_load(sample, size) for sample in track(self.samples, title, console=Console(stderr=True))]
        self.images = torch.stack([image for image, _ in loaded])
        self.targets = [target for _, target in loaded]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        return self.images[index], self.targets[index]

    def batch(self, indices: Tensor) -> Batch:
        """The images and targets of `indices` `(n,)`, on the device the images are kept on."""
        return Batch(self.images[indices.to(self.images.device)], [self.targets[index] for index in indices.tolist()])

    def keep_on(self, device: torch.device) -> None:
        """Move all images into the memory of `device`."""
        self.images = self.images.to(device)

    @property
    def class_indices(self) -> npt.NDArray[np.int64]:
        """Index into `CLASSES` of every image, `(n,)`."""
        return np.array([sample.class_index for sample in self.samples], np.int64)


class BrainTumorDataset(BrainTumorTestDataset):
    """Train: the same with sampling weights; `trainer.augment` varies them batch by batch."""

    def sampling_weights(self) -> Tensor:
        """Weight `(n,)` of each image: rare classes are drawn more often, by the square root of their rarity."""
        counts = np.bincount(self.class_indices, minlength=int(self.class_indices.max()) + 1)
        return torch.from_numpy(1.0 / np.sqrt(counts[self.class_indices]))
