"""Batch augmentation on the device of the images, boxes moved along; seeded by torch's generator.

Tumour and tumour-free images of the data set come from different sequences and sources, so a network can score well by
telling those apart. Inversion, gamma, tone curves, noise, blur and reframing take that shortcut away (docs/data.md).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align
from torchvision.transforms.v2.functional import gaussian_blur

from trainer.dataset import Batch
from trainer.targets import NO_BOX, Targets

GAMMA_RANGE = (0.6, 1.6)
INVERSION_SHARE = 0.12
TONE_CURVE_SHARE = 0.25
MATCHED_SHARE = 0.25
"""Of images that get the brightness distribution of another one of the batch: the look of another sequence."""
REMAPPED_SHARE = 0.12
"""Of images whose brightness goes through a curve that rises and falls: the contrast of a sequence nobody has taken."""
REMAPPING_KNOTS = 6
BIAS_SHARE = 0.25
BIAS_STRENGTH = 0.4
STRIPPED_SHARE = 0.1
"""Of images that lose scalp and skull, or what lies that far within the head's outline."""
STRIPPED_DEPTHS = (0.05, 0.07, 0.09, 0.11)
"""Shares of the side, one of them a batch."""
LEAST_LEFT_OF_A_BOX = 0.7
LEAST_HEAD = 0.08
"""Share of the image that must be left of the head."""
NOISE_SHARE = 0.3
BLUR_SHARE = 0.15
BACKGROUND_BELOW = 0.04
"""Brightness (0..1) below which a pixel counts as air and keeps its value under inversion."""
SMALLEST_VISIBLE_SHARE = 0.3


@dataclass(frozen=True)
class Augmentation:
    """How far an image may be varied.

    Attributes:
        max_rotation_degrees: to either side.
        scale_range: smallest and largest magnification.
        max_shift: share of the side.
        brightness: vary gamma, tone, contrast, sharpness and noise.
        looks: also the looks of other sequences, uneven coils and skull-stripped heads; only with `brightness`.
    """

    max_rotation_degrees: float = 15.0
    scale_range: tuple[float, float] = (0.8, 1.2)
    max_shift: float = 0.08
    brightness: bool = True
    looks: bool = True


def _uniform(count: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(count, device=device) * (high - low) + low


def _some(images: Tensor, share: float, vary: Callable[[Tensor], Tensor]) -> Tensor:
    """`images` with about `share` of them varied."""
    rows = (torch.rand(len(images), device=images.device) < share).nonzero()[:, 0]
    return images.index_copy(0, rows, vary(images[rows])) if len(rows) else images


def _through(curves: Tensor, images: Tensor) -> Tensor:
    """Images `(n, 1, h, w)` in 0..1, each through its curve of `k` even steps `(n, k)`, linear in between."""
    last = curves.shape[1] - 1
    position = images.flatten(1) * last
    lower = position.floor().clamp(0, last - 1).long()
    left, right = curves.gather(1, lower), curves.gather(1, lower + 1)
    return (left + (right - left) * (position - lower)).view_as(images)


def random_tone_curve(images: Tensor) -> Tensor:
    """Map brightness through a random monotone curve with 8 knots, one an image; images `(n, 1, h, w)` in 0..1."""
    count, knots = len(images), 8
    steps = torch.rand(count, knots, device=images.device) + 0.15
    # a product instead of cumsum, which sums in any order on a GPU and would make two runs of one seed differ
    heights = steps @ torch.ones(knots, knots, device=images.device).triu()
    curve = torch.cat([torch.zeros(count, 1, device=images.device), heights / steps.sum(1, keepdim=True)], 1)
    return _through(curve, images)


def random_contrast(images: Tensor) -> Tensor:
    """Map brightness through a smooth curve that rises and falls anyhow, one an image; air stays air.

    A lesion stays a region unlike its surroundings, while what is bright and what is dark no longer tells a sequence
    (after https://arxiv.org/abs/2111.12525). Images `(n, 1, h, w)` in 0..1.
    """
    count = len(images)
    heights = torch.rand(count, 1, REMAPPING_KNOTS, device=images.device)
    curve = functional.interpolate(heights, 64, mode="linear", align_corners=True)[:, 0] * 0.85 + 0.1
    brightest = images.flatten(1).amax(1).clamp(min=1e-3).view(-1, 1, 1, 1)
    mapped = _through(curve, (images / brightest).clamp(0, 1))
    return torch.lerp(images, mapped, ((images - BACKGROUND_BELOW) / BACKGROUND_BELOW).clamp(0, 1))


def match_histograms(images: Tensor, others: Tensor, bins: int = 64) -> Tensor:
    """Give each image the brightness distribution of another one; air stays air.

    Args:
        images: `(n, 1, h, w)` in 0..1.
        others: the same.
        bins: of the distributions.
    """
    ranks, wanted = _ranks(images, bins), _ranks(others, bins)
    # for each bin of an image, the brightness at which the other one has as many darker pixels; bins below its darkest
    # pixel, whose rank is 0, take that of the darkest: air in the other one is no brightness to be had
    darkest = torch.where(ranks > 0, ranks, torch.inf).amin(1, keepdim=True)
    curve = torch.searchsorted(wanted, torch.maximum(ranks, darkest)).clamp(max=bins - 1).to(images.dtype) / (bins - 1)
    matched = _through(curve, images)
    both_have_heads = (wanted[:, -1:] > 0)[..., None, None]
    return torch.where((images > BACKGROUND_BELOW) & both_have_heads, matched, images)


def _ranks(images: Tensor, bins: int) -> Tensor:
    """Share of the pixels that are no air up to each bin `(n, bins)`."""
    flat = images.flatten(1)
    places = (flat * (bins - 1)).round().long().clamp(0, bins - 1)
    counts = torch.zeros(len(images), bins, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, places, (flat > BACKGROUND_BELOW).long())
    summed = counts.double() @ torch.ones(bins, bins, dtype=torch.float64, device=images.device).triu()
    return (summed / summed[:, -1:].clamp(min=1)).to(images.dtype).contiguous()


def random_bias_field(images: Tensor) -> Tensor:
    """Multiply with a smooth field, as uneven coils do; images `(n, 1, h, w)` in 0..1."""
    coarse = torch.randn(len(images), 1, 3, 3, device=images.device) * BIAS_STRENGTH
    field = functional.interpolate(coarse, images.shape[2:], mode="bicubic", align_corners=True)
    return images * field.exp()


def strip_skulls(images: Tensor, targets: Targets) -> Tensor:
    """Blacken what lies within some depth of the head's outline, where no box loses much by it.

    A rough picture of a skull-stripped scan. Images `(n, 1, s, s)` in 0..1, boxes in their pixels.
    """
    inner = _head_interiors(images, STRIPPED_DEPTHS[int(torch.randint(len(STRIPPED_DEPTHS), ()))])
    spared = (inner.mean((1, 2, 3)) >= LEAST_HEAD) & targets.complete
    if targets.xyxy.shape[1]:
        owners = torch.arange(len(images), device=images.device)[:, None, None].expand(*targets.channels.shape, 1)
        regions = torch.cat([owners, targets.xyxy], 2).view(-1, 5)
        left = roi_align(inner, regions, 7, sampling_ratio=1, aligned=True).mean((1, 2, 3)).view_as(targets.channels)
        spared &= ((left >= LEAST_LEFT_OF_A_BOX) | ~targets.are_boxes).all(1)
    return torch.where(spared.view(-1, 1, 1, 1) & (inner < 0.5), 0.0, images)


def _head_interiors(images: Tensor, depth: float) -> Tensor:
    """1 farther than `depth` (share of the side) within the outline of each head, else 0: `(n, 1, s, s)`."""
    small = functional.avg_pool2d(images, 4)
    bright = (small > 2 * BACKGROUND_BELOW).float()
    down, right = bright.cummax(2).values, bright.cummax(3).values
    up, left = bright.flip(2).cummax(2).values.flip(2), bright.flip(3).cummax(3).values.flip(3)
    reach = round(depth * small.shape[-1])
    steps = torch.arange(-reach, reach + 1, device=images.device)
    disc = (torch.hypot(steps[:, None].float(), steps[None].float()) <= reach + 0.5).float()
    near_air = functional.conv2d(1 - down * up * right * left, disc[None, None], padding=reach) > 0.5
    return functional.interpolate((~near_air).float(), images.shape[2:], mode="bilinear").round()


def inverted(images: Tensor) -> Tensor:
    """Bright becomes dark within each image's range; air stays air; images `(n, 1, h, w)` in 0..1."""
    brightest = images.flatten(1).amax(1).view(-1, 1, 1, 1)
    return torch.where(images > BACKGROUND_BELOW, brightest - images, images)


def noisy(images: Tensor) -> Tensor:
    """With white noise of a strength of its own for each image; images `(n, 1, h, w)` in 0..1."""
    return images + torch.randn_like(images) * _uniform(len(images), 0.0, 0.06, images.device).view(-1, 1, 1, 1)


def vary_brightness(images: Tensor, *, looks: bool = False) -> Tensor:
    """Gamma, tone, inversion, contrast, blur, noise, and other sequences' looks; images `(n, 1, h, w)` in 0..1."""
    count, device = len(images), images.device
    gamma = torch.exp(_uniform(count, math.log(GAMMA_RANGE[0]), math.log(GAMMA_RANGE[1]), device))
    images = images.clamp(min=1e-4) ** gamma.view(-1, 1, 1, 1)
    everyone = images
    images = _some(images, TONE_CURVE_SHARE, random_tone_curve)
    if looks:
        images = _some(images, REMAPPED_SHARE, random_contrast)
        images = _some(images, MATCHED_SHARE, lambda some: match_histograms(some, _drawn_from(everyone, len(some))))
        images = _some(images, BIAS_SHARE, random_bias_field).clamp(0, 1)
    images = _some(images, INVERSION_SHARE, inverted)
    images = images * _uniform(count, 0.8, 1.2, device).view(-1, 1, 1, 1)
    images = _some(images, BLUR_SHARE, lambda some: gaussian_blur(some, [5, 5], [1.0, 1.0]))
    return _some(images, NOISE_SHARE, noisy).clamp(0, 1)


def _drawn_from(images: Tensor, count: int) -> Tensor:
    return images[torch.randint(len(images), (count,), device=images.device)]


def _random_affine(count: int, how: Augmentation, device: torch.device) -> Tensor:
    """Maps `(n, 2, 3)` from output to input coordinates in -1..1: rotation, scale, shift, mirror left to right."""
    angle = _uniform(count, -how.max_rotation_degrees, how.max_rotation_degrees, device).deg2rad()
    scale = 1.0 / _uniform(count, *how.scale_range, device)
    mirror = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    shift = _uniform(2 * count, -2 * how.max_shift, 2 * how.max_shift, device).view(count, 2)
    top = torch.stack([cosine * mirror, -sine, shift[:, 0]], 1)
    bottom = torch.stack([sine * mirror, cosine, shift[:, 1]], 1)
    return torch.stack([top, bottom], 1)


def move_boxes(xyxy: Tensor, output_to_input: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Carry boxes `(n, m, 4)` in pixels along with `n` images warped by `output_to_input` `(n, 2, 3)`.

    A lesion is nearer to an ellipse than to a rectangle, so the new box is that of the turned inscribed ellipse; the
    corners' hull would grow with every turn.

    Returns:
        The boxes clipped to the image, and which of them `(n, m)` still show enough to be learnt from.
    """
    linear = torch.linalg.inv(output_to_input[:, :, :2])  # (n, 2, 2)
    centre = (xyxy[..., :2] + xyxy[..., 2:]) / size - 1
    half = (xyxy[..., 2:] - xyxy[..., :2]) / size
    new_centre = (centre - output_to_input[:, None, :, 2]) @ linear.mT
    new_half = (half**2 @ (linear**2).mT).sqrt()
    moved = (torch.cat([new_centre - new_half, new_centre + new_half], -1) + 1) * (size / 2)
    clipped = moved.clamp(0, size)
    area = (moved[..., 2:] - moved[..., :2]).prod(-1)
    visible = (clipped[..., 2:] - clipped[..., :2]).prod(-1) / area.clamp(min=1e-6)
    return clipped, visible >= SMALLEST_VISIBLE_SHARE


def move_targets(targets: Targets, scale: float, output_to_input: Tensor, size: int) -> Targets:
    """Targets of images scaled to `size` and then warped; one whose box is hidden now is not complete."""
    moved, visible = move_boxes(targets.xyxy * scale, output_to_input, size)
    hidden = targets.are_boxes & ~visible
    channels = torch.where(visible, targets.channels, NO_BOX)
    return Targets(targets.class_indices, moved, channels, targets.complete & ~hidden.any(1))


def augment(batch: Batch, size: int, how: Augmentation) -> tuple[Tensor, Targets]:
    """Vary a batch and bring it to `size`; returns images `(n, 1, size, size)` float in 0..1 and moved targets."""
    images = batch.images.float() / 255.0
    source_size = images.shape[-1]
    if source_size != size:
        images = functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
    affine = _random_affine(len(images), how, images.device)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
    targets = move_targets(batch.targets, size / source_size, affine, size)
    if not how.brightness:
        return images, targets
    if how.looks:
        stripped = (torch.rand(len(images), device=images.device) < STRIPPED_SHARE).nonzero()[:, 0]
        if len(stripped):
            images = images.index_copy(0, stripped, strip_skulls(images[stripped], targets.select(stripped)))
    return vary_brightness(images, looks=how.looks), targets
