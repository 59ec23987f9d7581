"""What images teach: of one image, and of many as tensors of one length, so that a batch needs no loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

NO_BOX = -1
"""In place of a channel, where an image has fewer boxes than another."""


@dataclass(frozen=True)
class Target:
    """What one image teaches.

    Attributes:
        class_index: index into `CLASSES` (the folder).
        xyxy: `(m, 4)` float32 boxes in network pixels.
        channels: `(m,)` int64 box channel (`LESION_CLASSES`, then gland).
        complete: False when an unmarked tumour is in the picture: the box loss skips it.
    """

    class_index: int
    xyxy: Tensor
    channels: Tensor
    complete: bool


@dataclass(frozen=True)
class Targets:
    """The same of `n` images; `m` is the largest number of boxes of any of them.

    Attributes:
        class_indices: `(n,)` int64.
        xyxy: `(n, m, 4)` float32.
        channels: `(n, m)` int64, `NO_BOX` where there is none.
        complete: `(n,)` bool.
    """

    class_indices: Tensor
    xyxy: Tensor
    channels: Tensor
    complete: Tensor

    @classmethod
    def of(cls, targets: Sequence[Target]) -> Self:
        """Those of some images, in their order; at least one."""
        return cls(
            torch.tensor([target.class_index for target in targets]),
            pad_sequence([target.xyxy for target in targets], batch_first=True),
            pad_sequence([target.channels for target in targets], batch_first=True, padding_value=NO_BOX),
            torch.tensor([target.complete for target in targets]),
        )

    @classmethod
    def joined(cls, parts: Sequence["Targets"]) -> Self:
        """Those of several parts, one after the other."""
        most = max(part.xyxy.shape[1] for part in parts)
        missing = [most - part.xyxy.shape[1] for part in parts]
        padded = list(zip(parts, missing, strict=True))
        return cls(
            torch.cat([part.class_indices for part in parts]),
            torch.cat([pad(part.xyxy, (0, 0, 0, count)) for part, count in padded]),
            torch.cat([pad(part.channels, (0, count), value=NO_BOX) for part, count in padded]),
            torch.cat([part.complete for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.class_indices)

    @property
    def are_boxes(self) -> Tensor:
        """`(n, m)` bool: False where there is only padding."""
        return self.channels != NO_BOX

    def one(self, index: int) -> Target:
        """That of one image."""
        kept = self.are_boxes[index]
        return Target(
            int(self.class_indices[index]), self.xyxy[index][kept], self.channels[index][kept],
            bool(self.complete[index]),
        )  # fmt: skip

    def select(self, indices: Tensor) -> "Targets":
        """Those of `indices` `(k,)`, on the device these are on."""
        rows = indices.to(self.class_indices.device)
        return Targets(self.class_indices[rows], self.xyxy[rows], self.channels[rows], self.complete[rows])

    def to(self, device: torch.device) -> "Targets":
        """The same on another device."""
        return Targets(
            self.class_indices.to(device), self.xyxy.to(device), self.channels.to(device), self.complete.to(device)
        )
