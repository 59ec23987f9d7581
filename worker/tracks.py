"""Lesions followed across the slices of a volume: boxes on neighbouring slices that are one lesion become one track.

Boxes are compared in the plane of their stack, in millimetres of the patient (PS3.3 C.7.6.2.1.1), so that slices may be
shifted against each other. A slice without a position has no neighbours, and its boxes are tracks of their own.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from trainer.runtime.decision import Calibration, lesion_probability
from trainer.runtime.records import Box, TumorClass, Xyxy
from worker.domain import InstanceHeader, SliceKey
from worker.neighbours import (
    NEIGHBOURS_WITHIN_MM,
    ROUNDING_MM,
    SLICES_MISSED,
    SUPPORT_MM,
    places_heard_with,
    said_together,
)
from worker.volumes import Volume

SMALLEST_OVERLAP = 0.3
"""IoU from which boxes on neighbouring slices are one lesion."""
NEAR = 0.5
"""So they are where their centres are closer than this share of the smaller one's mean side, whatever their size."""
_NEARLY = 1e-6

_Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """A box on a slice.

    Attributes:
        volume: that the slice is of.
        number: of the slice in its volume in reading order, from 1.
        box: in pixels of the instance.
    """

    volume: Volume
    number: int
    box: Box

    @property
    def header(self) -> InstanceHeader:
        """Of the slice."""
        return self.volume.headers[self.number - 1]


@dataclass(frozen=True)
class LesionTrack:
    """One lesion.

    Attributes:
        findings: in reading order, at most one a slice.
        extent_mm: along the normal of the slices, from the first to the last of them and half the distance to the next
            on both sides; `None` where the positions do not say.
    """

    findings: tuple[Finding, ...]
    extent_mm: float | None

    @property
    def best(self) -> Finding:
        """The box that is most certain."""
        return max(self.findings, key=lambda finding: finding.box.score)

    @property
    def label(self) -> TumorClass:
        """The class with the largest sum of scores."""
        sums: dict[TumorClass, float] = {}
        for finding in self.findings:
            sums[finding.box.label] = sums.get(finding.box.label, 0.0) + finding.box.score
        return max(sums, key=lambda label: sums[label])

    @property
    def diameter_mm(self) -> float | None:
        """The longest side of any of its boxes; `None` without a pixel spacing."""
        sides = [side for finding in self.findings for side in _sides_mm(finding)]
        return max(sides, default=None)

    def probability(self, calibration: Calibration | None) -> float | None:
        """How probable it is that the lesion is one; `None` without a calibration of the model's boxes by themselves.

        What the boxes of neighbouring slices say together, as for the study's answer; a slice in between that missed
        the lesion is not asked. Each box is calibrated on single images; what they say together is a rule, since no
        studies are there to fit it. A lesion that cannot be followed, for want of positions or of a pixel spacing, has
        that of its box.
        """
        if calibration is None or not calibration.judges_boxes_alone:
            return None
        if self.extent_mm is None:
            return lesion_probability(self.best.box.score, calibration)
        volume = self.best.volume
        keys = [header.slice_key for header in volume.headers]
        place_of = dict(zip(keys, volume.places, strict=True))
        said: dict[int, float] = {}
        for finding in self.findings:
            place, probable = place_of[finding.header.slice_key], lesion_probability(finding.box.score, calibration)
            said[place] = max(said.get(place, 0.0), probable)
        heard, together = list(said.values()), places_heard_with(volume, self.best.header)
        heard += [0.0] * (together - len(heard))
        spacing = volume.spacing_mm
        return max(said_together(heard[at : at + together], spacing) for at in range(len(heard) - together + 1))


def _sides_mm(finding: Finding) -> Iterator[float]:
    spacing, (x1, y1, x2, y2) = finding.header.geometry.spacing_mm, finding.box.xyxy
    if spacing is not None:
        yield from ((x2 - x1) * spacing[1], (y2 - y1) * spacing[0])


@dataclass(frozen=True)
class _Placed:
    """A slice of a stack: place and depth along the normal, mm; its findings, with their boxes in the plane, mm."""

    place: int
    depth: float
    findings: tuple[tuple[Finding, Xyxy], ...]


@dataclass(frozen=True)
class _Seen:
    """A box of a track: the number of its place along the normal, its depth there and its box in the plane, mm."""

    place: int
    depth: float
    finding: Finding
    box: Xyxy


def lesion_tracks(volumes: Iterable[Volume], boxes: Mapping[SliceKey, Sequence[Box]]) -> list[LesionTrack]:
    """Follow the boxes of a study through each of its volumes; the tracks in order of their best score.

    Args:
        volumes: as `worker.volumes.volumes_of` parts the study.
        boxes: of each slice, pixels of the instance; a slice that is not named was not looked at.
    """
    tracks = [track for volume in volumes for track in _tracks_of_volume(volume, boxes)]
    return sorted(tracks, key=lambda track: -track.best.box.score)


def _tracks_of_volume(volume: Volume, boxes: Mapping[SliceKey, Sequence[Box]]) -> list[LesionTrack]:
    found = [
        [Finding(volume, number, box) for box in boxes.get(header.slice_key, ())]
        for number, header in enumerate(volume.headers, start=1)
    ]
    plane = _plane_of(volume)
    if plane is None or volume.depths_mm is None:
        return [LesionTrack((finding,), None) for findings in found for finding in findings]
    stack = [
        _placed(place, depth, findings, plane)
        for place, depth, findings in zip(volume.places, volume.depths_mm, found, strict=True)
    ]
    tracks = _tracks_of_stack(stack, volume.spacing_mm)
    largest = (volume.spacing_mm or 0.0) * len(volume.levels_mm)
    return [track for track in tracks if (track.extent_mm or 0.0) >= min(SUPPORT_MM, largest) - ROUNDING_MM]


def _plane_of(volume: Volume) -> tuple[_Vector, _Vector] | None:
    """Direction of a row and of a column; `None` where a slice does not say how large its pixels are."""
    geometries = [header.geometry for header in volume.headers]
    if geometries[0].orientation is None or any(geometry.spacing_mm is None for geometry in geometries):
        return None
    orientation = np.array(geometries[0].orientation)
    return orientation[:3], orientation[3:]


def _placed(place: int, depth: float, findings: Sequence[Finding], plane: tuple[_Vector, _Vector]) -> _Placed:
    row, column = plane

    def in_plane(finding: Finding) -> Xyxy:
        geometry, (x1, y1, x2, y2) = finding.header.geometry, finding.box.xyxy
        position, (between_rows, between_columns) = np.array(geometry.position_mm), geometry.spacing_mm or (1, 1)
        left, top = float(position @ row), float(position @ column)
        return (
            left + x1 * between_columns,
            top + y1 * between_rows,
            left + x2 * between_columns,
            top + y2 * between_rows,
        )

    return _Placed(place, depth, tuple((finding, in_plane(finding)) for finding in findings))


def _tracks_of_stack(stack: Sequence[_Placed], distance: float | None) -> list[LesionTrack]:
    """Slice after slice by depth; a track takes one box of each, also of several that lie at one place."""
    open_tracks: list[list[_Seen]] = []
    for slice_ in stack:
        pairs = sorted(
            (-overlap, -known[-1].finding.box.score, track, row)
            for (track, known), (row, (_, box)) in product(enumerate(open_tracks), enumerate(slice_.findings))
            if slice_.place - known[-1].place <= SLICES_MISSED + 1
            and slice_.depth - known[-1].depth <= NEIGHBOURS_WITHIN_MM
            and (overlap := _likeness(known[-1].box, box)) > 0
        )
        taken: set[int] = set()
        grown: set[int] = set()
        for *_, track, row in pairs:
            if track not in grown and row not in taken:
                grown.add(track)
                taken.add(row)
                open_tracks[track].append(_Seen(slice_.place, slice_.depth, *slice_.findings[row]))
        open_tracks += [
            [_Seen(slice_.place, slice_.depth, *found)] for row, found in enumerate(slice_.findings) if row not in taken
        ]
    return [
        LesionTrack(
            tuple(seen.finding for seen in known),
            None if distance is None else known[-1].depth - known[0].depth + distance,
        )
        for known in open_tracks
    ]


def _centre(box: Xyxy) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _likeness(one: Xyxy, other: Xyxy) -> float:
    """IoU where it is enough for one lesion or the centres are near, else 0."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    overlap = common / max(sum(areas) - common, 1e-9)
    if overlap >= SMALLEST_OVERLAP:
        return overlap
    apart = math.dist(_centre(one), _centre(other))
    smaller = min((box[2] - box[0] + box[3] - box[1]) / 2 for box in (one, other))
    return max(overlap, _NEARLY) if apart < NEAR * smaller else 0.0
