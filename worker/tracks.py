"""Lesions followed across the slices of a series: boxes on neighbouring slices that are one lesion become one track.

Boxes are compared in the plane of their stack, in millimetres of the patient (PS3.3 C.7.6.2.1.1), so that slices may be
shifted against each other. A slice without a position has no neighbours, and its boxes are tracks of their own.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from statistics import median

import numpy as np
import numpy.typing as npt

from trainer.runtime.records import Box, TumorClass, Xyxy
from worker.domain import InstanceHeader

SMALLEST_OVERLAP = 0.3
"""IoU from which boxes on neighbouring slices are one lesion."""
NEAR = 0.5
"""So they are where their centres are closer than this share of the smaller one's mean side, whatever their size."""
SLICES_MISSED = 1
"""A lesion may go unseen on so many slices in between."""
NEIGHBOURS_WITHIN_MM = 12.0
"""Slices farther apart are no neighbours: a lesion may begin and end between them."""
SAME_PLACE_MM = 0.05
"""Slices closer than this lie at one place: echoes, time points, copies."""
_PARALLEL = 1e-3
_NEARLY = 1e-6

_Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """A box on a slice.

    Attributes:
        header: of the slice.
        number: of the slice in its series in reading order, from 1.
        box: in pixels of the instance.
    """

    header: InstanceHeader
    number: int
    box: Box


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


def _sides_mm(finding: Finding) -> Iterator[float]:
    spacing, (x1, y1, x2, y2) = finding.header.geometry.spacing_mm, finding.box.xyxy
    if spacing is not None:
        yield from ((x2 - x1) * spacing[1], (y2 - y1) * spacing[0])


@dataclass(frozen=True)
class _Placed:
    """A slice of a stack: its depth along the normal, mm, and its findings with their boxes in the plane, mm."""

    depth: float
    findings: tuple[tuple[Finding, Xyxy], ...]


def lesion_tracks(slices: Sequence[tuple[InstanceHeader, Sequence[Box]]]) -> list[LesionTrack]:
    """Follow the boxes of a study, its slices in reading order; the tracks in order of their best score."""
    tracks = []
    for series in _series(slices):
        numbered = [
            (header, [Finding(header, number, box) for box in boxes])
            for number, (header, boxes) in enumerate(series, start=1)
        ]
        stacks: list[list[_Placed]] = []
        planes: list[tuple[_Vector, _Vector]] = []
        for header, findings in numbered:
            plane = _plane_of(header)
            if plane is None:
                tracks += [LesionTrack((finding,), None) for finding in findings]
                continue
            place = next((at for at, known in enumerate(planes) if _is_parallel(known, plane)), len(planes))
            if place == len(planes):
                planes.append(plane)
                stacks.append([])
            stacks[place].append(_placed(header, findings, planes[place]))
        for stack in stacks:
            tracks += _tracks_of_stack(stack)
    return sorted(tracks, key=lambda track: -track.best.box.score)


def _series(
    slices: Sequence[tuple[InstanceHeader, Sequence[Box]]],
) -> Iterable[list[tuple[InstanceHeader, Sequence[Box]]]]:
    found: dict[str, list[tuple[InstanceHeader, Sequence[Box]]]] = {}
    for header, boxes in slices:
        found.setdefault(header.series_uid, []).append((header, boxes))
    return found.values()


def _plane_of(header: InstanceHeader) -> tuple[_Vector, _Vector] | None:
    """Direction of a row and of a column, `None` where the header does not say where the slice lies, and how large."""
    geometry = header.geometry
    if geometry.orientation is None or geometry.position_mm is None or geometry.spacing_mm is None:
        return None
    return np.array(geometry.orientation[:3]), np.array(geometry.orientation[3:])


def _is_parallel(one: tuple[_Vector, _Vector], other: tuple[_Vector, _Vector]) -> bool:
    return all(float(a @ b) > 1 - _PARALLEL for a, b in zip(one, other, strict=True))


def _placed(header: InstanceHeader, findings: Sequence[Finding], plane: tuple[_Vector, _Vector]) -> _Placed:
    row, column = plane
    position, (between_rows, between_columns) = (
        np.array(header.geometry.position_mm),
        header.geometry.spacing_mm or (1, 1),
    )
    left, top = float(position @ row), float(position @ column)

    def in_plane(xyxy: Xyxy) -> Xyxy:
        x1, y1, x2, y2 = xyxy
        return (
            left + x1 * between_columns,
            top + y1 * between_rows,
            left + x2 * between_columns,
            top + y2 * between_rows,
        )

    return _Placed(
        float(position @ np.cross(row, column)), tuple((finding, in_plane(finding.box.xyxy)) for finding in findings)
    )


def _levels(stack: Sequence[_Placed]) -> list[_Placed]:
    """Slices by depth; those that lie at one place count as one."""
    levels: list[_Placed] = []
    for placed in sorted(stack, key=lambda placed: placed.depth):
        if levels and placed.depth - levels[-1].depth < SAME_PLACE_MM:
            levels[-1] = _Placed(levels[-1].depth, levels[-1].findings + placed.findings)
        else:
            levels.append(placed)
    return levels


def _tracks_of_stack(stack: Sequence[_Placed]) -> list[LesionTrack]:
    levels = _levels(stack)
    distance = median([after.depth - before.depth for before, after in pairwise(levels)]) if len(levels) > 1 else None
    open_tracks: list[list[tuple[int, Finding, Xyxy]]] = []
    for place, level in enumerate(levels):
        pairs = sorted(
            (
                (-overlap, -known[-1][1].box.score, track, row)
                for (track, known), (row, (_, box)) in product(enumerate(open_tracks), enumerate(level.findings))
                if place - known[-1][0] <= SLICES_MISSED + 1
                and level.depth - levels[known[-1][0]].depth <= NEIGHBOURS_WITHIN_MM
                and (overlap := _likeness(known[-1][2], box)) > 0
            ),
        )
        taken: set[int] = set()
        grown: set[int] = set()
        for *_, track, row in pairs:
            if track not in grown and row not in taken:
                grown.add(track)
                taken.add(row)
                finding, box = level.findings[row]
                open_tracks[track].append((place, finding, box))
        open_tracks += [
            [(place, finding, box)] for row, (finding, box) in enumerate(level.findings) if row not in taken
        ]
    return [
        LesionTrack(
            tuple(sorted((finding for _, finding, _ in known), key=lambda finding: finding.number)),
            None if distance is None else levels[known[-1][0]].depth - levels[known[0][0]].depth + distance,
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
