"""Train and Val as torch data sets, and how Train is divided without a look-alike on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from trainer.labels import DatasetError, Sample, lesions_of
from trainer.leakage import HashArray, looks_like_any
from trainer.runtime.bundle import file_sha256
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


@dataclass(frozen=True)
class Batch:
    """Images `(n, 1, size, size)` uint8 and their targets."""

    images: Tensor
    targets: list[Target]


def collate(items: list[tuple[Tensor, Target]]) -> Batch:
    """Stack the images, list the targets (box counts differ)."""
    return Batch(torch.stack([image for image, _ in items]), [target for _, target in items])


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
    """Images as they are, decoded once and kept in memory as uint8 (Val, or a held-out part of Train)."""

    def __init__(self, samples: Sequence[Sample], size: int) -> None:
        self.samples = list(samples)
        self.size = size
        loaded = [_load(sample, size) for sample in track(self.samples, f"reading {len(self.samples)} images")]
        self._images = torch.stack([image for image, _ in loaded])
        self._targets = [target for _, target in loaded]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        return self._images[index], self._targets[index]

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


@dataclass(frozen=True)
class LeakFilter:
    """Which Train images may be trained on, and why the others may not.

    Attributes:
        kept: the samples left.
        kept_hashes: their perceptual hashes.
        look_alikes_of_val: how many were dropped as look-alikes of a Val image.
        duplicates: how many as byte-identical repeats of another Train image.
    """

    kept: list[Sample]
    kept_hashes: HashArray
    look_alikes_of_val: int
    duplicates: int


def without_leakage(train: Sequence[Sample], train_hashes: HashArray, val_hashes: HashArray) -> LeakFilter:
    """Drop Train images that look like a Val image, then byte-identical repeats within Train."""
    leaky = looks_like_any(train_hashes, val_hashes)
    seen: set[str] = set()
    keep = np.zeros(len(train), np.bool_)
    for index in np.flatnonzero(~leaky).tolist():
        digest = file_sha256(train[index].image_path)
        keep[index] = digest not in seen
        seen.add(digest)
    kept = [sample for sample, keep_it in zip(train, keep, strict=True) if keep_it]
    return LeakFilter(kept, train_hashes[keep], int(leaky.sum()), int((~leaky & ~keep).sum()))


def hold_out(
    samples: Sequence[Sample], groups: npt.NDArray[np.int64], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split off about `share` of every class as whole groups `(n,)`; returns (the rest, the held-out part)."""
    class_indices = np.array([sample.class_index for sample in samples])
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    wanted = np.bincount(class_indices) * share
    taken = np.zeros(len(wanted))
    held_out = np.zeros(len(samples), np.bool_)
    for group in order:
        members = np.flatnonzero(groups == group)
        counts = np.bincount(class_indices[members], minlength=len(wanted))
        if (taken + counts <= wanted + 0.5).all():
            held_out[members] = True
            taken += counts
    rest = [sample for sample, out in zip(samples, held_out, strict=True) if not out]
    return rest, [sample for sample, out in zip(samples, held_out, strict=True) if out]
