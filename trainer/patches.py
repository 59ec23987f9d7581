"""Cutting a region out of a slice and setting another in, so that no seam tells where it was.

Images are `(h, w)` float32 in 0..1, boxes xyxy in their pixels. A region is the ellipse inscribed in a box: the shape a
lesion's box is drawn around. Everything random comes from torch's generator.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

AIR_BELOW = 0.12
"""Of the bright end of a slice: darker is air."""
CORE = 1.1
"""Radius, in units of the region's, up to which a patch replaces everything."""
RING = (1.2, 1.7)
"""Radii between which a patch must fit what is around it."""
EDGE = (RING[0] + RING[1]) / 2
"""Radius at which it has faded out."""
SMALLEST_RADIUS = 3.0
"""Pixels; smaller regions are treated as that large."""
CANDIDATES = 160
WORST_MISFIT = 1.0
"""A patch may differ from the surroundings by this many of their standard deviations, not more."""
NEARBY = 12
"""Pixels by which the twin on the other side, or the same height, is varied."""


def head_mask(image: Tensor) -> Tensor:
    """Where the head is, `(h, w)` bool: brighter than air, and what rows and columns both enclose."""
    bright = image > AIR_BELOW * torch.quantile(image.flatten()[::7], 0.98)
    solid = functional.avg_pool2d(bright.float()[None, None], 5, 1, 2)[0, 0] > 0.5
    down, right = solid.cummax(0).values, solid.cummax(1).values
    up, left = solid.flip(0).cummax(0).values.flip(0), solid.flip(1).cummax(1).values.flip(1)
    return down & up & right & left


def bounding_box(mask: Tensor) -> tuple[int, int, int, int] | None:
    """Smallest xyxy around the True pixels of `(h, w)`; `None` without any."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True)
class Window:
    """The pixels around a region; `radius` `(h, w)` is 0 at its centre and 1 at its edge."""

    top: int
    left: int
    radius: Tensor

    @classmethod
    def around(cls, box: Tensor, shape: torch.Size) -> Self | None:
        """The window of the region in `box` `(4,)`; `None` where it does not lie wholly within an image of `shape`."""
        x1, y1, x2, y2 = box.tolist()
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        radius_x, radius_y = max((x2 - x1) / 2, SMALLEST_RADIUS), max((y2 - y1) / 2, SMALLEST_RADIUS)
        left, right = math.floor(x - RING[1] * radius_x), math.ceil(x + RING[1] * radius_x)
        top, bottom = math.floor(y - RING[1] * radius_y), math.ceil(y + RING[1] * radius_y)
        if min(left, top) < 0 or right > shape[1] or bottom > shape[0]:
            return None
        rows = (torch.arange(top, bottom) + 0.5 - y) / radius_y
        columns = (torch.arange(left, right) + 0.5 - x) / radius_x
        return cls(top, left, torch.hypot(rows[:, None], columns[None]))

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Index of the window's pixels in its image."""
        height, width = self.radius.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def ring(self) -> Tensor:
        """Weight `(h, w)` of each pixel as surroundings: 0 or 1."""
        return ((self.radius >= RING[0]) & (self.radius <= RING[1])).float()

    @property
    def opacity(self) -> Tensor:
        """Share `(h, w)` of the patch in each pixel: 1 up to `CORE`, 0 from `EDGE`."""
        x = ((EDGE - self.radius) / (EDGE - CORE)).clamp(0, 1)
        return x * x * (3 - 2 * x)


def _smooth(values: Tensor, weights: Tensor) -> Tensor:
    """`values` `(h, w)` where `weights` are, carried smoothly over the whole window (normalised convolution)."""

    def kernel(length: int) -> Tensor:
        steps = torch.arange(length, dtype=torch.float32)
        return torch.exp(-0.5 * ((steps[:, None] - steps[None]) / max(length / 5, 2.0)) ** 2)

    down, across = (kernel(length) for length in values.shape)
    return (down @ (values * weights) @ across) / (down @ weights @ across).clamp(min=1e-6)


@dataclass(frozen=True)
class _Places:
    """Top left corners of candidate windows `(k,)` in one source image."""

    source: Tensor
    tops: Tensor
    lefts: Tensor


def _random(low: int, high: int) -> Tensor:
    return torch.randint(low, max(high, low) + 1, (CANDIDATES,))


def _candidate_places(image: Tensor, window: Window) -> list[_Places]:
    """Anywhere, at the same height, and around the mirror twin, in the image and in its mirror image."""
    height, width = window.radius.shape
    lowest, rightmost = image.shape[0] - height, image.shape[1] - width
    extent = bounding_box(head_mask(image))
    ends = (extent[0] + extent[2] - 1) if extent else image.shape[1] - 1
    # mirrored about the middle of the head, a column x lies at ends - x; in the mirrored picture that is width - 1 - it
    twin = image.shape[1] - 1 - ends + window.left
    same_height = (window.top + _random(-NEARBY, NEARBY)).clamp(0, lowest)
    anywhere = _Places(
        image, torch.cat([_random(0, lowest), same_height]), torch.cat([_random(0, rightmost), _random(0, rightmost)])
    )
    at_twin = (twin + _random(-NEARBY, NEARBY)).clamp(0, rightmost)
    mirrored = _Places(
        image.flip(1), torch.cat([_random(0, lowest), same_height]), torch.cat([_random(0, rightmost), at_twin])
    )
    return [anywhere, mirrored]


def _shows_none_of(boxes: Tensor, places: _Places, window: Window) -> Tensor:
    """Which places `(k,)` show nothing of `boxes` `(m, 4)` where the patch will be seen at all."""
    height, width = window.radius.shape
    half = torch.tensor([width, height]) / RING[1] * EDGE / 2
    centres = torch.stack([places.lefts + width / 2, places.tops + height / 2], 1)
    overlap = torch.minimum(centres[:, None] + half, boxes[None, :, 2:]) - torch.maximum(
        centres[:, None] - half, boxes[None, :, :2]
    )
    return ~(overlap > 0).all(2).any(1)


def _mirrored_boxes(boxes: Tensor, width: int) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack([width - x2, y1, width - x1, y2], 1)


def replace_region(image: Tensor, box: Tensor, marked: Tensor) -> Tensor | None:
    """Set what fits the surroundings best, from elsewhere in the slice or mirrored, in place of a region.

    Args:
        image: `(h, w)`.
        box: `(4,)` around the region.
        marked: `(m, 4)` boxes of lesions and glands, of which nothing may be in what is set in.

    Returns:
        The new image; `None` where nothing fits well enough, or the region is at the border.
    """
    window = Window.around(box, image.shape)
    if window is None:
        return None
    here, ring = image[window.pixels], window.ring
    area = ring.sum()
    mean = (here * ring).sum() / area
    spread = (((here - mean) ** 2 * ring).sum() / area).sqrt().clamp(min=0.02)
    height, width = window.radius.shape
    best, least = None, math.inf
    for mirrored, places in enumerate(_candidate_places(image, window)):
        boxes = _mirrored_boxes(marked, image.shape[1]) if mirrored else marked
        free = _shows_none_of(boxes, places, window)
        if not free.any():
            continue
        patches = places.source.unfold(0, height, 1).unfold(1, width, 1)[places.tops[free], places.lefts[free]]
        difference = here - patches
        offset = (difference * ring).sum((1, 2)) / area
        misfit = (((difference - offset[:, None, None]) ** 2 * ring).sum((1, 2)) / area).sqrt() + offset.abs() / 2
        at = int(misfit.argmin())
        if misfit[at] < least:
            best, least = patches[at], float(misfit[at])
    if best is None or least > WORST_MISFIT * spread:
        return None
    patch = (best + _smooth(here - best, ring)).clamp(0, 1)
    out = image.clone()
    out[window.pixels] = torch.lerp(here, patch, window.opacity)
    return out


@dataclass(frozen=True)
class Pasted:
    """An image `(h, w)` with another's lesion in it, and the lesion's box `(4,)` there."""

    image: Tensor
    box: Tensor


SURROUNDING_TEXTURE = 0.3
"""Share of the host's own fine structure that shines through a pasted lesion."""
LEAST_VISIBLE = 0.06
"""A pasted lesion must change the brightness of its region by this much on average."""


def _added(field: Tensor, difference: Tensor) -> Tensor:
    """Brightness `field` plus a difference, at most 1; a dark one fades towards black and never reaches it."""
    faded = field * torch.exp(difference / field.clamp(min=1e-3))
    return torch.where(difference < 0, faded, field + difference).clamp(0, 1)


def paste_region(host: Tensor, donor: Tensor, box: Tensor, centre: tuple[float, float], gain: float) -> Pasted | None:
    """Set the donor's lesion into the host: its contrast to its surroundings there, on the host's brightness here.

    Args:
        host: `(h, w)`, where the lesion goes.
        donor: `(h, w)`, where it comes from.
        box: `(4,)` around it in the donor.
        centre: x and y in the host, pixels.
        gain: what the lesion's contrast is multiplied with.

    Returns:
        `None` where a border is too near or the lesion could not be seen.
    """
    middle = (box[:2] + box[2:]) / 2
    there = box + (torch.tensor(centre) - middle).round().repeat(2)
    source, target = Window.around(box, donor.shape), Window.around(there, host.shape)
    if source is None or target is None:
        return None
    lesion, around, ring = donor[source.pixels], host[target.pixels], source.ring
    field = _smooth(around, ring)
    contrast = (lesion - _smooth(lesion, ring)) * gain
    patch = _added(field, SURROUNDING_TEXTURE * (around - field) + contrast)
    if (patch - around)[source.radius <= 1].mean().abs() < LEAST_VISIBLE:
        return None
    out = host.clone()
    out[target.pixels] = torch.lerp(around, patch, target.opacity)
    return Pasted(out, there)
