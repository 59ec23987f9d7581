"""Counterfactual slices, made once before training: a lesion taken out, one set in, the same surgery without either.

Tumour and tumour-free images of the data set come from different sequences and sources, so a network can score well
without looking for lesions (docs/data.md). In these the sequence stays and the lesion changes; decoys teach that the
traces of the surgery mean nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch
from rich.progress import track
from torch import Tensor

from trainer.dataset import BrainTumorTestDataset
from trainer.patches import bounding_box, head_mask, paste_region, replace_region
from trainer.runtime.records import GLAND_CHANNEL, NO_TUMOR_INDEX
from trainer.targets import Target, Targets
from trainer.terminal import PROGRESS

PASTES_A_HOST = 3
"""Lesions, one at a time, that are set into each tumour-free image."""
DECOY_SHARE = 0.25
"""Of all images."""
GAIN_RANGE = (0.6, 1.5)
"""Of a pasted lesion's contrast, after it was scaled to the contrast of its new head."""
CONTRAST_SCALE_RANGE = (0.5, 2.5)
DARK_SHARE = 0.2
"""Of pasted lesions that are turned: dark where they were bright, and weaker."""
TURNED_SHARE = 0.7
"""Of recontrasted slices: the others are made fainter."""
TURNED_GAIN_RANGE = (-1.2, -0.5)
"""Of a lesion's own contrast, to which `trainer.patches` adds back a little of what was there."""
FAINT_GAIN_RANGE = (0.0, 0.3)
PLACE_JITTER = 0.04
"""Standard deviation of a pasted lesion's place, in units of the head."""


class Origin(StrEnum):
    """What was done to a slice."""

    ERASED = "erased"
    PASTED = "pasted"
    DECOY = "decoy"
    RECONTRASTED = "recontrasted"


SHARES = {Origin.ERASED: 0.35, Origin.PASTED: 0.25, Origin.RECONTRASTED: 0.25, Origin.DECOY: 0.15}
"""Of the made slices that are drawn."""


@dataclass(frozen=True)
class Counterfactuals:
    """Made slices.

    Attributes:
        images: `(n, 1, s, s)` uint8.
        targets: what they teach.
        origins: what was done to each.
    """

    images: Tensor
    targets: Targets
    origins: tuple[Origin, ...]

    @property
    def weights(self) -> Tensor:
        """How often each is drawn `(n,)` float64, sum 1: `SHARES`, where there are some of every origin."""
        counts = Counter(self.origins)
        weights = torch.tensor([SHARES[origin] / counts[origin] for origin in self.origins], dtype=torch.float64)
        return weights / weights.sum()

    @property
    def summary(self) -> str:
        """One line for the log."""
        counts = Counter(self.origins)
        return "counterfactual slices: " + ", ".join(f"{counts[origin]} {origin}" for origin in Origin)


@dataclass(frozen=True)
class _Slice:
    """An image `(s, s)` float32 in 0..1, its target, and the lesions among its boxes `(m, 4)`."""

    image: Tensor
    target: Target

    @property
    def lesions(self) -> Tensor:
        return self.target.xyxy[self.target.channels != GLAND_CHANNEL]


def erase_lesions(one: _Slice) -> _Slice | None:
    """The slice without its lesions, tumour-free, its normal glands left; `None` where one cannot be replaced."""
    image: Tensor | None = one.image
    for box in one.lesions:
        image = replace_region(image, box, one.target.xyxy) if image is not None else None
    if image is None:
        return None
    glands = one.target.channels == GLAND_CHANNEL
    return _Slice(image, Target(NO_TUMOR_INDEX, one.target.xyxy[glands], one.target.channels[glands], True))


def _place_in(host: Tensor, donor: Tensor, box: Tensor) -> tuple[float, float] | None:
    """Where in the host's head the lesion would lie that lies in `box` of the donor's: same place, a little varied."""
    here, there = bounding_box(head_mask(host)), bounding_box(head_mask(donor))
    if here is None or there is None:
        return None
    x, y = ((box[:2] + box[2:]) / 2).tolist()
    jitter = (torch.randn(2) * PLACE_JITTER).tolist()
    relative_x, relative_y = (x - there[0]) / (there[2] - there[0]), (y - there[1]) / (there[3] - there[1])
    if torch.rand(()) < 0.5:
        relative_x = 1 - relative_x
    return (
        here[0] + (relative_x + jitter[0]) * (here[2] - here[0]),
        here[1] + (relative_y + jitter[1]) * (here[3] - here[1]),
    )


def _gain(host: Tensor, donor: Tensor) -> float:
    """From the donor's contrast to the host's, varied; negative for a lesion turned dark."""
    scale = host[head_mask(host)].std() / donor[head_mask(donor)].std().clamp(min=1e-3)
    low, high = GAIN_RANGE
    varied = scale.clamp(*CONTRAST_SCALE_RANGE) * (low + (high - low) * torch.rand(()))
    return float(-0.6 * varied if torch.rand(()) < DARK_SHARE else varied)


def paste_lesion(host: _Slice, donor: _Slice) -> _Slice | None:
    """The tumour-free host with one lesion of the donor, which gives it its class; `None` where it does not fit."""
    rows = (donor.target.channels != GLAND_CHANNEL).nonzero()[:, 0]
    if not len(rows):
        return None
    row = int(rows[torch.randint(len(rows), ())])
    box = donor.target.xyxy[row]
    place = _place_in(host.image, donor.image, box)
    if place is None:
        return None
    pasted = paste_region(host.image, donor.image, box, place, _gain(host.image, donor.image))
    if pasted is None:
        return None
    channel = donor.target.channels[row]
    xyxy, channels = torch.cat([host.target.xyxy, pasted.box[None]]), torch.cat([host.target.channels, channel[None]])
    return _Slice(pasted.image, Target(donor.target.class_index, xyxy, channels, True))


def recontrast_lesions(one: _Slice) -> _Slice | None:
    """The slice with its lesions weaker, or dark where they were bright: as other sequences show them; same target."""
    image, turned = one.image, bool(torch.rand(()) < TURNED_SHARE)
    low, high = TURNED_GAIN_RANGE if turned else FAINT_GAIN_RANGE
    for box in one.lesions:
        centre = ((box[0] + box[2]) / 2).item(), ((box[1] + box[3]) / 2).item()
        changed = paste_region(image, one.image, box, centre, float(low + (high - low) * torch.rand(())))
        if changed is None:
            return None
        image = changed.image
    return _Slice(image, one.target)


def decoy(one: _Slice, size_of: _Slice) -> _Slice | None:
    """The slice with a lesion-free region, as large as a lesion of `size_of`, replaced like a lesion; same target."""
    extent = bounding_box(head_mask(one.image))
    if extent is None or not len(size_of.lesions):
        return None
    half = (size_of.lesions[0, 2:] - size_of.lesions[0, :2]) / 2
    low, high = torch.tensor(extent[:2]) + half, torch.tensor(extent[2:]) - half
    if (low >= high).any():
        return None
    centre = low + (high - low) * torch.rand(2)
    box = torch.cat([centre - half, centre + half])
    marked = one.target.xyxy
    overlap = torch.minimum(box[2:], marked[:, 2:]) - torch.maximum(box[:2], marked[:, :2])
    if (overlap > 0).all(1).any():
        return None
    image = replace_region(one.image, box, marked)
    return None if image is None else _Slice(image, one.target)


def _slice(dataset: BrainTumorTestDataset, index: int) -> _Slice:
    image, target = dataset[index]
    return _Slice(image[0].float() / 255.0, target)


def _donors(dataset: BrainTumorTestDataset) -> Tensor:
    """Rows of the slices whose every tumour has a box."""
    targets = dataset.targets
    has_lesion = (targets.are_boxes & (targets.channels != GLAND_CHANNEL)).any(1)
    return (targets.complete & has_lesion).nonzero()[:, 0]


def _made(dataset: BrainTumorTestDataset) -> Iterator[tuple[Origin, _Slice | None]]:
    donors = _donors(dataset)
    if not len(donors):
        return

    def any_donor() -> _Slice:
        return _slice(dataset, int(donors[torch.randint(len(donors), ())]))

    for index in track(range(len(dataset)), "making counterfactual slices", console=PROGRESS, transient=True):
        one = _slice(dataset, index)
        if not one.target.complete:  # a region without a box may be its tumour
            continue
        if one.target.class_index == NO_TUMOR_INDEX:
            for _ in range(PASTES_A_HOST):
                yield Origin.PASTED, paste_lesion(one, any_donor())
        else:
            yield Origin.ERASED, erase_lesions(one)
            yield Origin.RECONTRASTED, recontrast_lesions(one)
        if torch.rand(()) < DECOY_SHARE:
            yield Origin.DECOY, decoy(one, any_donor())


def make_counterfactuals(dataset: BrainTumorTestDataset, seed: int) -> Counterfactuals | None:
    """Make them from all images of a data set; `None` where none could be made.

    Args:
        dataset: with images on the CPU.
        seed: the same gives the same slices; torch's generator of the CPU is left as it was.
    """
    images, targets, origins = [], [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for origin, one in _made(dataset):
            if one is not None:
                images.append((one.image * 255).round().to(torch.uint8)[None])
                targets.append(one.target)
                origins.append(origin)
    return Counterfactuals(torch.stack(images), Targets.of(targets), tuple(origins)) if origins else None
