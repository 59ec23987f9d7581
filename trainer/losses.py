"""Losses: cross-entropy for the class; focal + GIoU + centreness for the boxes (FCOS, https://arxiv.org/abs/1904.01355)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from trainer.runtime.boxes import LEVEL_STRIDES, locations
from trainer.runtime.network import NetworkTensors
from trainer.runtime.records import BOX_CHANNELS
from trainer.targets import NO_BOX, Targets

LEVEL_REACH = ((0.0, 32.0), (24.0, 72.0), (56.0, float("inf")))
"""Largest of the four distances, in network pixels, that each of P3, P4, P5 is responsible for; they overlap so that
a lesion at a border teaches both."""
CENTRE_RADIUS = 1.5
"""A location is positive within this many strides of the box centre (FCOS centre sampling)."""


@dataclass(frozen=True)
class Assignment:
    """Per location of `n` images: box channel or `NO_BOX` `(n, l)`, box distances `(n, l, 4)`, centreness `(n, l)`."""

    channels: Tensor
    distances: Tensor
    centreness: Tensor


@dataclass(frozen=True)
class LossParts:
    """Scalar losses of a batch."""

    classification: Tensor
    focal: Tensor
    box: Tensor
    centreness: Tensor

    def total(self) -> Tensor:
        """Their weighted sum; the centreness is an aid to ranking and counts half."""
        return self.classification + self.focal + self.box + 0.5 * self.centreness


class BoxAssigner:
    """Says which location answers for which box, for one network size."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.centres = torch.from_numpy(locations(size)).to(device)
        counts = [(size // stride) ** 2 for stride in LEVEL_STRIDES]

        def per_location(values: tuple[float, ...]) -> Tensor:
            return torch.cat([torch.full((count,), value) for count, value in zip(counts, values, strict=True)]).to(
                device
            )

        self.strides = per_location(tuple(float(stride) for stride in LEVEL_STRIDES))
        self.reach_low = per_location(tuple(low for low, _ in LEVEL_REACH))
        self.reach_high = per_location(tuple(high for _, high in LEVEL_REACH))

    def assign(self, targets: Targets) -> Assignment:
        """Give every location of every image the smallest box it is responsible for, or none."""
        if not targets.xyxy.shape[1]:
            nothing = targets.xyxy.new_zeros(len(targets), len(self.centres))
            return Assignment(nothing.long() + NO_BOX, nothing[..., None].expand(-1, -1, 4), nothing)
        top_left, bottom_right = targets.xyxy[:, None, :, :2], targets.xyxy[:, None, :, 2:]
        centres = self.centres[None, :, None]
        # (n, l, m, 4) distances from each location to each box side
        distances = torch.cat([centres - top_left, bottom_right - centres], 3)
        off_centre = (centres - (top_left + bottom_right) / 2).abs().amax(3)
        reach = distances.amax(3)
        positive = (
            targets.are_boxes[:, None]
            & (distances.amin(3) > 0)
            & (off_centre <= CENTRE_RADIUS * self.strides[None, :, None])
            & (reach >= self.reach_low[None, :, None])
            & (reach <= self.reach_high[None, :, None])
        )
        areas = (targets.xyxy[..., 2:] - targets.xyxy[..., :2]).prod(2)
        box = torch.where(positive, areas[:, None], torch.inf).argmin(2)
        chosen = distances.gather(2, box[..., None, None].expand(-1, -1, 1, 4))[:, :, 0].clamp(min=0)
        channels = torch.where(positive.any(2), targets.channels.gather(1, box), NO_BOX)
        sides = chosen[..., [0, 2]], chosen[..., [1, 3]]
        ratio = [side.amin(2) / side.amax(2).clamp(min=1e-6) for side in sides]
        return Assignment(channels, chosen, (ratio[0] * ratio[1]).sqrt())


def detection_losses(output: NetworkTensors, targets: Targets, assigner: BoxAssigner) -> tuple[Tensor, Tensor, Tensor]:
    """Focal, box and centreness loss, each a mean over positive locations; incomplete images count nothing.

    Everything is computed at every location and weighed by 0 or 1: a choice of rows would make a GPU wait for the CPU,
    and every output takes part, without which the processes of a distributed run wait for each other's gradients.
    """
    assigned = assigner.assign(targets)
    learnt = targets.complete[:, None].float()
    positive = (assigned.channels != NO_BOX).float() * learnt  # (n, l)
    positives = positive.sum().clamp(min=1)
    wanted = functional.one_hot(assigned.channels.clamp(min=0), BOX_CHANNELS).float() * positive[..., None]
    focal = (sigmoid_focal_loss(output.box_logits, wanted) * learnt[..., None]).sum() / positives
    centreness = functional.binary_cross_entropy_with_logits(
        output.centreness_logits, assigned.centreness, weight=positive, reduction="sum"
    )
    weight = assigned.centreness * positive
    giou = generalized_box_iou_loss(
        _corners(assigner.centres, output.box_distances), _corners(assigner.centres, assigned.distances)
    )
    box = (giou * weight).sum() / weight.sum().clamp(min=1e-6)
    return focal, box, centreness / positives


def _corners(centres: Tensor, distances: Tensor) -> Tensor:
    """Boxes `(n, l, 4)` of distances `(n, l, 4)` from the locations `(l, 2)`."""
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], -1)


def losses(output: NetworkTensors, targets: Targets, assigner: BoxAssigner | None, label_smoothing: float) -> LossParts:
    """All losses of a batch.

    Args:
        output: of the network.
        targets: boxes in network pixels of the size the assigner was made for.
        assigner: `None` for a network without boxes, whose box losses are 0.
        label_smoothing: of the class loss.
    """
    classification = functional.cross_entropy(
        output.class_logits, targets.class_indices, label_smoothing=label_smoothing
    )
    if assigner is None:
        zero = torch.zeros_like(classification)
        return LossParts(classification, zero, zero, zero)
    return LossParts(classification, *detection_losses(output, targets, assigner))
