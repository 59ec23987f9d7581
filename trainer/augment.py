"""Batch augmentation on the device of the images, boxes moved along; seeded by torch's generator.

Tumour and tumour-free images of the data set come from different sequences and sources, so a network can score well by
telling those apart. Inversion, gamma, tone curves, noise, blur and reframing take that shortcut away (docs/data.md).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur

from trainer.dataset import Batch
from trainer.targets import NO_BOX, Targets

GAMMA_RANGE = (0.6, 1.6)
INVERSION_SHARE = 0.12
TONE_CURVE_SHARE = 0.25
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
    """

    max_rotation_degrees: float = 15.0
    scale_range: tuple[float, float] = (0.8, 1.2)
    max_shift: float = 0.08
    brightness: bool = True


def _uniform(count: int, low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(count, device=device) * (high - low) + low


def _chosen(count: int, share: float, device: torch.device) -> Tensor:
    return (torch.rand(count, device=device) < share).view(-1, 1, 1, 1)


def random_tone_curve(images: Tensor) -> Tensor:
    """Map brightness through a random monotone curve with 8 knots, one an image; images `(n, 1, h, w)` in 0..1."""
    count, knots = len(images), 8
    steps = torch.rand(count, knots, device=images.device) + 0.15
    # a product instead of cumsum, which sums in any order on a GPU and would make two runs of one seed differ
    heights = steps @ torch.ones(knots, knots, device=images.device).triu()
    curve = torch.cat([torch.zeros(count, 1, device=images.device), heights / steps.sum(1, keepdim=True)], 1)
    position = images.flatten(1) * knots
    lower = position.floor().clamp(max=knots - 1).long()
    left, right = curve.gather(1, lower), curve.gather(1, lower + 1)
    return (left + (right - left) * (position - lower)).view_as(images)


def vary_brightness(images: Tensor) -> Tensor:
    """Gamma, inversion, tone curve, contrast, blur and noise; images `(n, 1, h, w)` float in 0..1."""
    count, device = len(images), images.device
    images = images.clamp(min=1e-4) ** torch.exp(
        _uniform(count, math.log(GAMMA_RANGE[0]), math.log(GAMMA_RANGE[1]), device)
    ).view(-1, 1, 1, 1)
    images = torch.where(_chosen(count, TONE_CURVE_SHARE, device), random_tone_curve(images), images)
    brightest = images.flatten(1).amax(1).view(-1, 1, 1, 1)
    inverted = torch.where(images > BACKGROUND_BELOW, brightest - images, images)
    images = torch.where(_chosen(count, INVERSION_SHARE, device), inverted, images)
    images = images * _uniform(count, 0.8, 1.2, device).view(-1, 1, 1, 1)
    images = torch.where(_chosen(count, BLUR_SHARE, device), gaussian_blur(images, [5, 5], [1.0, 1.0]), images)
    noise = torch.randn_like(images) * _uniform(count, 0.0, 0.06, device).view(-1, 1, 1, 1)
    images = torch.where(_chosen(count, NOISE_SHARE, device), images + noise, images)
    return images.clamp(0, 1)


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
    return vary_brightness(images) if how.brightness else images, targets
