"""Losses: cross-entropy for the class; focal + GIoU + centreness for the boxes (FCOS, https://arxiv.org/abs/1904.01355)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from trainer.dataset import Target
from trainer.runtime.boxes import LEVEL_STRIDES, locations
from trainer.runtime.network import NetworkTensors
from trainer.runtime.records import BOX_CHANNELS

LEVEL_REACH = ((0.0, 32.0), (24.0, 72.0), (56.0, float("inf")))
"""Largest of the four distances, in network pixels, that each of P3, P4, P5 is responsible for; they overlap so that
a lesion at a border teaches both."""
CENTRE_RADIUS = 1.5
"""A location is positive within this many strides of the box centre (FCOS centre sampling)."""


@dataclass(frozen=True)
class Assignment:
    """Per location of one image: box channel or -1 `(l,)`, box distances `(l, 4)`, centreness target `(l,)`."""

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

    def assign(self, target: Target) -> Assignment:
        """Give every location the smallest box it is responsible for, or none."""
        count = len(self.centres)
        if not len(target.xyxy):
            zeros = self.centres.new_zeros
            return Assignment(torch.full((count,), -1, device=self.centres.device), zeros(count, 4), zeros(count))
        # (l, n, 4) distances from each location to each box side
        distances = torch.cat(
            [self.centres[:, None] - target.xyxy[None, :, :2], target.xyxy[None, :, 2:] - self.centres[:, None]], 2
        )
        box_centres = (target.xyxy[:, :2] + target.xyxy[:, 2:]) / 2
        off_centre = (self.centres[:, None] - box_centres[None]).abs().amax(2)
        reach = distances.amax(2)
        positive = (
            (distances.amin(2) > 0)
            & (off_centre <= CENTRE_RADIUS * self.strides[:, None])
            & (reach >= self.reach_low[:, None])
            & (reach <= self.reach_high[:, None])
        )
        areas = (target.xyxy[:, 2:] - target.xyxy[:, :2]).prod(1)
        cost = torch.where(positive, areas[None], torch.inf)
        box = cost.argmin(1)
        chosen = distances.gather(1, box[:, None, None].expand(-1, 1, 4))[:, 0].clamp(min=0)
        channels = torch.where(positive.any(1), target.channels[box], -1)
        sides = chosen[:, [0, 2]], chosen[:, [1, 3]]
        ratio = [side.amin(1) / side.amax(1).clamp(min=1e-6) for side in sides]
        return Assignment(channels, chosen, (ratio[0] * ratio[1]).sqrt())


def detection_losses(
    output: NetworkTensors, targets: list[Target], assigner: BoxAssigner
) -> tuple[Tensor, Tensor, Tensor]:
    """Focal, box and centreness loss, each a mean over positive locations; incomplete images are skipped."""
    rows = [index for index, target in enumerate(targets) if target.complete]
    if not rows:
        # every output takes part, or the processes of a distributed run would wait for gradients that never come
        zero = (output.box_logits.sum() + output.box_distances.sum() + output.centreness_logits.sum()) * 0
        return zero, zero, zero
    assignments = [assigner.assign(targets[index]) for index in rows]
    channels = torch.stack([assignment.channels for assignment in assignments])
    positive = channels >= 0
    wanted = functional.one_hot(channels.clamp(min=0), BOX_CHANNELS).float() * positive[..., None]
    positives = positive.sum().clamp(min=1)
    focal = sigmoid_focal_loss(output.box_logits[rows], wanted, reduction="sum") / positives
    centreness_target = torch.stack([assignment.centreness for assignment in assignments])[positive]
    centreness = (
        functional.binary_cross_entropy_with_logits(
            output.centreness_logits[rows][positive], centreness_target, reduction="sum"
        )
        / positives
    )
    centres = assigner.centres.expand(len(rows), -1, -1)[positive]
    target_distances = torch.stack([assignment.distances for assignment in assignments])[positive]
    giou = generalized_box_iou_loss(
        _corners(centres, output.box_distances[rows][positive]), _corners(centres, target_distances)
    )
    box = (giou * centreness_target).sum() / centreness_target.sum().clamp(min=1e-6)
    return focal, box, centreness


def _corners(centres: Tensor, distances: Tensor) -> Tensor:
    return torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], 1)


def losses(
    output: NetworkTensors, targets: list[Target], assigner: BoxAssigner | None, label_smoothing: float
) -> LossParts:
    """All losses of a batch.

    Args:
        output: of the network.
        targets: boxes in network pixels of the size the assigner was made for.
        assigner: `None` for a network without boxes, whose box losses are 0.
        label_smoothing: of the class loss.
    """
    wanted = torch.tensor([target.class_index for target in targets], device=output.class_logits.device)
    classification = functional.cross_entropy(output.class_logits, wanted, label_smoothing=label_smoothing)
    if assigner is None:
        zero = torch.zeros_like(classification)
        return LossParts(classification, zero, zero, zero)
    return LossParts(classification, *detection_losses(output, targets, assigner))
