"""What of Val stands in Train: copies and look-alikes, image by image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.audit_findings import Finding, Slug, warning
from trainer.audit_groups import GroupedImage
from trainer.labels import Split
from trainer.leakage import LOOK_ALIKE_DISTANCE, HashArray, distances

WIDER_DISTANCE = 8
"""A second, looser bound of which only a count is reported: at 8 of 64 bits many pictures are merely similar."""


@dataclass(frozen=True)
class Leakage:
    """What of Val stands in Train. Distances are in bits of 64, mirror images counted.

    Attributes:
        val: Val images that can be decoded.
        same_pixels: of them, those whose pixels stand in Train.
        distance_0: of them, those with an equal hash in Train.
        look_alike: of them, those within `LOOK_ALIKE_DISTANCE`.
        wider: of them, those within `WIDER_DISTANCE`.
        train_look_alikes: Train images within `LOOK_ALIKE_DISTANCE` of a Val image: the leak-free protocol drops them.
    """

    val: int
    same_pixels: int
    distance_0: int
    look_alike: int
    wider: int
    train_look_alikes: int


def find_leaks(pictures: Sequence[GroupedImage], hashes: HashArray) -> tuple[Leakage | None, list[Finding]]:
    """Set every Val picture beside all of Train; copies first, then look-alikes from near to far."""
    in_train = np.array([picture.image.split is Split.TRAIN for picture in pictures], np.bool_)
    train, train_hashes = [picture for picture in pictures if picture.image.split is Split.TRAIN], hashes[in_train]
    val_rows = [row for row, picture in enumerate(pictures) if picture.image.split is Split.VAL]
    if not train or not val_rows:
        return None, []
    nearest: list[int] = []
    leaky = np.zeros(len(train), np.bool_)
    found: list[tuple[int, Finding]] = []  # (distance, -1 for a copy; finding)
    for row in val_rows:
        bits = distances(hashes[row : row + 1], train_hashes)[0]
        nearest.append(int(bits.min()))
        leaky |= bits <= LOOK_ALIKE_DISTANCE
        found.extend(_leak(pictures[row], train, bits))
    found.sort(key=lambda one: one[0])
    findings = [finding for _, finding in found]
    leakage = Leakage(
        val=len(val_rows),
        same_pixels=sum(finding.slug is Slug.LEAK_COPY for finding in findings),
        distance_0=sum(distance == 0 for distance in nearest),
        look_alike=sum(distance <= LOOK_ALIKE_DISTANCE for distance in nearest),
        wider=sum(distance <= WIDER_DISTANCE for distance in nearest),
        train_look_alikes=int(leaky.sum()),
    )
    return leakage, findings


def _leak(
    val: GroupedImage, train: Sequence[GroupedImage], bits: npt.NDArray[np.uint8]
) -> Iterator[tuple[int, Finding]]:
    """The finding on a Val picture, if there is one; `bits` `(m,)` are its distances to the `train` pictures."""
    near = [(int(bits[row]), train[row]) for row in np.flatnonzero(bits <= LOOK_ALIKE_DISTANCE).tolist()]
    near.sort(key=lambda one: one[0])
    copies = [picture for _, picture in near if picture.facts.pixel_sha256 == val.facts.pixel_sha256]
    if copies:
        how = "byte for byte" if copies[0].facts.sha256 == val.facts.sha256 else "pixel for pixel"
        others = tuple(picture.image.file for picture in copies)
        yield -1, warning(Slug.LEAK_COPY, val.image.file, f"stands in Train too, {how}: {others[0]}", others=others)
    elif near:
        distance, nearest = near[0]
        others = tuple(picture.image.file for _, picture in near)
        mirrored = ", mirrored" if _straight_distance(val, nearest) > distance else ""
        sentence = f"looks like {nearest.image.file}{mirrored}: {distance} of 64 bits"
        yield distance, warning(Slug.LEAK_LOOK_ALIKE, val.image.file, sentence, others=others)


def _straight_distance(a: GroupedImage, b: GroupedImage) -> int:
    return int(np.bitwise_count(a.facts.hashes[0] ^ b.facts.hashes[0]))
