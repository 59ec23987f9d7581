"""The network: ResNet-50 body, class logits and a slim FPN + FCOS head (https://arxiv.org/abs/1904.01355) in one pass.

It needs torch, so only training, export and the torch engine import it; the OpenVINO engine runs its exported graph.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50

from trainer.runtime.boxes import LEVEL_STRIDES
from trainer.runtime.records import BOX_CHANNELS, CLASSES

IMAGENET_GREY_MEAN, IMAGENET_GREY_STD = 0.449, 0.226
LESION_PRIOR = 0.01
"""Starting probability of a location being a lesion, so that the focal loss does not start by drowning in negatives."""
NO_LESION_LOGIT = -20.0
"""What a network without a box head says at every location."""


class NetworkTensors(NamedTuple):
    """Tensors of one forward pass; shapes as in `trainer.runtime.records.NetworkOutput`, always float32."""

    class_logits: Tensor
    features: Tensor
    box_logits: Tensor
    box_distances: Tensor
    centreness_logits: Tensor


class FeaturePyramid(nn.Module):
    """Top-down pyramid over C3, C4, C5 (https://arxiv.org/abs/1612.03144), all levels with `width` channels."""

    def __init__(self, in_channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in in_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in in_channels)

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> list[Tensor]:
        """Levels P3, P4, P5, finest first, each `(n, width, h, w)`."""
        p5 = self.lateral[2](c5)
        p4 = self.lateral[1](c4) + functional.interpolate(p5, scale_factor=2.0, mode="nearest")
        p3 = self.lateral[0](c3) + functional.interpolate(p4, scale_factor=2.0, mode="nearest")
        return [smooth(level) for smooth, level in zip(self.smooth, (p3, p4, p5), strict=True)]


def _tower(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(8, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class BoxHead(nn.Module):
    """FCOS head shared by all levels: per location a logit per lesion class, four distances and a centreness."""

    def __init__(self, width: int, depth: int = 2) -> None:
        super().__init__()
        self.class_tower = _tower(width, depth)
        self.box_tower = _tower(width, depth)
        self.class_logits = nn.Conv2d(width, BOX_CHANNELS, 3, padding=1)
        self.distances = nn.Conv2d(width, 4, 3, padding=1)
        self.centreness = nn.Conv2d(width, 1, 3, padding=1)
        self.level_scale = nn.Parameter(torch.ones(len(LEVEL_STRIDES)))
        if self.class_logits.bias is not None:
            nn.init.constant_(self.class_logits.bias, -math.log((1 - LESION_PRIOR) / LESION_PRIOR))

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits `(n, l, 4)`, distances `(n, l, 4)` in network pixels, centreness logits `(n, l)`, level by level."""
        logits, distances, centreness = [], [], []
        for index, (level, stride) in enumerate(zip(levels, LEVEL_STRIDES, strict=True)):
            class_features, box_features = self.class_tower(level), self.box_tower(level)
            # each (N, C, H, W) to (N, HW, C)
            logits.append(self.class_logits(class_features).flatten(2).transpose(1, 2))
            raw = self.distances(box_features) * self.level_scale[index]
            distances.append(functional.softplus(raw.float()).flatten(2).transpose(1, 2) * (2 * stride))
            centreness.append(self.centreness(box_features).flatten(1))
        return torch.cat(logits, 1), torch.cat(distances, 1), torch.cat(centreness, 1)


class NoBoxHead(nn.Module):
    """In place of a box head: no lesion anywhere, in the shapes of `BoxHead`."""

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The same three outputs for levels of any width, all constant."""
        count, places = levels[0].shape[0], sum(level.shape[2] * level.shape[3] for level in levels)
        nothing = levels[0].new_full((count, places, BOX_CHANNELS), NO_LESION_LOGIT)
        return nothing, levels[0].new_ones((count, places, 4)), nothing[..., 0]


class BrainTumorClassifier(nn.Module):
    """ResNet-50 that names the tumour and boxes every lesion in one backbone pass.

    Input: `(n, 1, size, size)` float in 0..1, letterboxed grey (`trainer.runtime.preprocess`), `size` a multiple of 32.
    The ImageNet normalisation is part of the network, so no engine can get it wrong.

    Args:
        pyramid_width: channels of the feature pyramid.
        dropout: share of the pooled features left out in training.
        boxes: False leaves pyramid and box head away (the published classifier); every box output then says "none".
    """

    grey_mean: Tensor
    grey_std: Tensor

    def __init__(self, pyramid_width: int = 96, dropout: float = 0.2, boxes: bool = True) -> None:
        super().__init__()
        body = resnet50(weights=None)
        self.stem = nn.Sequential(body.conv1, body.bn1, body.relu, body.maxpool)
        self.layer1, self.layer2, self.layer3, self.layer4 = body.layer1, body.layer2, body.layer3, body.layer4
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2048, len(CLASSES))
        self.pyramid = FeaturePyramid((512, 1024, 2048), pyramid_width) if boxes else None
        self.head = BoxHead(pyramid_width) if boxes else NoBoxHead()
        self.register_buffer("grey_mean", torch.tensor(IMAGENET_GREY_MEAN), persistent=False)
        self.register_buffer("grey_std", torch.tensor(IMAGENET_GREY_STD), persistent=False)

    def forward(self, images: Tensor) -> NetworkTensors:
        """One pass; shapes as in `NetworkTensors`."""
        x = ((images - self.grey_mean) / self.grey_std).expand(-1, 3, -1, -1)
        c2 = self.layer1(self.stem(x))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        c5 = self.layer4(c4)
        features = c5.mean((2, 3))
        levels = [c3, c4, c5] if self.pyramid is None else self.pyramid(c3, c4, c5)
        box_logits, distances, centreness = self.head(levels)
        return NetworkTensors(
            self.classifier(self.dropout(features)).float(),
            features.float(),
            box_logits.float(),
            distances.float(),
            centreness.float(),
        )

    def new_modules(self) -> list[nn.Module]:
        """The parts that ImageNet does not know."""
        return [self.classifier, *([] if self.pyramid is None else [self.pyramid]), self.head]

    def body_modules(self) -> list[nn.Module]:
        """The pre-trained parts in forward order, for freezing and for discriminative learning rates."""
        return [self.stem, self.layer1, self.layer2, self.layer3, self.layer4]
