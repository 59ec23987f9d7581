"""Stacks of slices: what of a series belongs together, in order along its normal, and where slices are missing.

A series may hold several orientations (a localizer, a three-plane scan), several echoes and kinds of image of one
acquisition, and the same slices at several times. Each of these is a volume of its own: only within one are slices
neighbours (PS3.3 C.7.6.2.1.1).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt

from worker.domain import InstanceHeader
from worker.weighting import Weighting, weighting_of

SAME_PLACE_MM = 0.05
"""Slices closer than this lie at one place: echoes, time points, copies."""
GAP = 1.5
"""Slices farther apart than this many times the usual distance have others missing between them."""
_PARALLEL = 1e-3
_ALONG_AXIS = 0.8
_REPEATED_SHARE = 0.5
_REPEATED_FROM = 3

_Vector = npt.NDArray[np.float64]


class Plane(StrEnum):
    """Which way slices cut the head, by the axis of the patient that is nearest to their normal, if any is near."""

    AXIAL = "axial"
    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    OBLIQUE = "oblique"
    UNKNOWN = "unknown plane"


@dataclass(frozen=True)
class Volume:
    """Slices of one series that are shown alike, at one time, parallel to each other.

    Attributes:
        headers: by place along the normal, else as `reading_order` has them; at least one.
        depths_mm: of each along the normal, LPS; `None` where a position or an orientation is missing.
        part: what tells it from other volumes of its series, for people; empty where there are none.
        repetition: 1, or more where the same places were scanned before in this series.
    """

    headers: tuple[InstanceHeader, ...]
    depths_mm: tuple[float, ...] | None
    part: str = ""
    repetition: int = 1

    @property
    def series_uid(self) -> str:
        """Of the series it belongs to."""
        return self.headers[0].series_uid

    @property
    def name(self) -> str:
        """The series' description, or its number, and the part."""
        first = self.headers[0]
        series = first.series_description or f"Series {first.series_number or ''}".strip()
        return f"{series}, {self.part}" if self.part else series

    @property
    def weighting(self) -> Weighting:
        """That of its first slice."""
        first = self.headers[0]
        return weighting_of(first.acquisition, first.series_description)

    @property
    def plane(self) -> Plane:
        """How it cuts the head."""
        orientation = self.headers[0].geometry.orientation
        if orientation is None:
            return Plane.UNKNOWN
        normal = np.abs(np.cross(orientation[:3], orientation[3:]))
        axis = int(normal.argmax())
        return (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[axis] if normal[axis] >= _ALONG_AXIS else Plane.OBLIQUE

    @property
    def levels_mm(self) -> tuple[float, ...]:
        """Places along the normal, ascending, each once."""
        levels: list[float] = []
        for depth in self.depths_mm or ():
            if not levels or depth - levels[-1] >= SAME_PLACE_MM:
                levels.append(depth)
        return tuple(levels)

    @property
    def spacing_mm(self) -> float | None:
        """The usual distance from slice to slice; `None` of less than two places."""
        distances = [after - before for before, after in pairwise(self.levels_mm)]
        return median(distances) if distances else None

    @property
    def gaps(self) -> int:
        """How often slices seem to be missing between two neighbours."""
        usual = self.spacing_mm
        return 0 if usual is None else sum(b - a > GAP * usual for a, b in pairwise(self.levels_mm))

    @property
    def doubled(self) -> int:
        """How many slices lie where another does."""
        return 0 if self.depths_mm is None else len(self.depths_mm) - len(self.levels_mm)


def volumes_of(headers: Iterable[InstanceHeader]) -> list[Volume]:
    """Part the slices of a study into volumes: series by number, then in the order of their parts."""
    series: dict[str, list[InstanceHeader]] = {}
    for header in sorted(headers, key=_acquired):
        series.setdefault(header.series_uid, []).append(header)
    return [volume for slices in series.values() for volume in _volumes_of_series(slices)]


def reading_order(headers: Iterable[InstanceHeader]) -> list[InstanceHeader]:
    """All slices of a study, volume by volume."""
    return [header for volume in volumes_of(headers) for header in volume.headers]


def _acquired(header: InstanceHeader) -> tuple[bool, int, str, bool, int, str, int]:
    return (
        header.series_number is None,
        header.series_number or 0,
        header.series_uid,
        header.instance_number is None,
        header.instance_number or 0,
        header.sop_uid,
        header.frame,
    )


def _volumes_of_series(slices: Sequence[InstanceHeader]) -> list[Volume]:
    volumes: list[Volume] = []
    stacks, unplaced = _parallel_stacks(slices)
    for stack in stacks:
        parts = _parts(stack)
        several = len(stacks) > 1 or bool(unplaced)
        orientation = Volume(tuple(header for _, header in stack), None).plane.value if several else ""
        for part in parts:
            ordered = sorted(part.stack, key=lambda placed: placed[0])
            volumes.append(
                Volume(
                    tuple(header for _, header in ordered),
                    tuple(depth for depth, _ in ordered),
                    ", ".join(word for word in (orientation, *part.words) if word),
                    part.repetition,
                )
            )
    if unplaced:
        volumes.append(Volume(tuple(unplaced), None, "without position" if stacks else ""))
    return volumes


_Placed = tuple[float, InstanceHeader]


def _parallel_stacks(slices: Sequence[InstanceHeader]) -> tuple[list[list[_Placed]], list[InstanceHeader]]:
    """Slices by orientation, each with its depth along the normal of the first of them; and those without a place."""
    stacks: list[tuple[_Vector, list[_Placed]]] = []
    unplaced: list[InstanceHeader] = []
    for header in slices:
        orientation, position = header.geometry.orientation, header.geometry.position_mm
        if orientation is None or position is None:
            unplaced.append(header)
            continue
        axes = np.array(orientation).reshape(2, 3)
        known = next((stack for stack in stacks if ((stack[0] * axes).sum(1) > 1 - _PARALLEL).all()), None)
        if known is None:
            known = axes, []
            stacks.append(known)
        known[1].append((float(np.cross(*known[0]) @ np.array(position)), header))
    return [stack for _, stack in stacks], unplaced


@dataclass(frozen=True)
class _Part:
    stack: list[_Placed]
    words: tuple[str, ...] = ()
    repetition: int = 1


def _echo(header: InstanceHeader) -> Hashable:
    return None if header.acquisition.echo_time_ms is None else round(header.acquisition.echo_time_ms, 1)


_KEYS: tuple[tuple[str, Callable[[InstanceHeader], Hashable], bool], ...] = (
    ("echo", _echo, False),
    ("inversion", lambda header: header.acquisition.inversion_time_ms, False),
    ("kind", lambda header: header.acquisition.image_type, False),
    ("time point", lambda header: header.acquisition.time_point, True),
    ("acquisition", lambda header: header.acquisition.number, True),
)
"""What tells slices at one place apart: its name for people, its value, whether it is the same picture once more."""


def _parts(stack: list[_Placed]) -> list[_Part]:
    """Slices of one orientation, parted by what tells those at one place apart."""
    parts = [_Part(stack)]
    for name, value, repeats in _KEYS:
        parts = [finer for part in parts for finer in _parted(part, name, value, repeats=repeats)]
    return [finer for part in parts for finer in _repetitions(part)]


def _parted(part: _Part, name: str, value: Callable[[InstanceHeader], Hashable], *, repeats: bool) -> list[_Part]:
    groups: dict[Hashable, list[_Placed]] = {}
    for placed in part.stack:
        groups.setdefault(value(placed[1]), []).append(placed)
    # where it also differs from place to place it does not tell the slices of one place apart
    if not 1 < len(groups) <= max(_occurrences(part.stack)):
        return [part]
    return [
        _Part(group, (*part.words, f"{name} {number}"), number if repeats else part.repetition)
        for number, group in enumerate(groups.values(), start=1)
    ]


def _repetitions(part: _Part) -> list[_Part]:
    """Whole stacks scanned again, where nothing in the header says so; single doubled slices stay where they are."""
    counts = list(Counter(_places(part.stack)).values())
    repeated = sum(count > 1 for count in counts)
    if repeated < max(_REPEATED_FROM, _REPEATED_SHARE * len(counts)):
        return [part]
    again: dict[int, list[_Placed]] = {}
    for placed, number in zip(part.stack, _occurrences(part.stack), strict=True):
        again.setdefault(number, []).append(placed)
    return [
        replace(part, stack=stack, words=(*part.words, f"repetition {number}"), repetition=number)
        for number, stack in sorted(again.items())
    ]


def _places(stack: Sequence[_Placed]) -> list[int]:
    """Number of the place of each slice, from 0."""
    order = sorted(range(len(stack)), key=lambda index: stack[index][0])
    places, last, place = [0] * len(stack), None, -1
    for index in order:
        depth = stack[index][0]
        if last is None or depth - last >= SAME_PLACE_MM:
            place, last = place + 1, depth
        places[index] = place
    return places


def _occurrences(stack: Sequence[_Placed]) -> list[int]:
    """For each slice, in the order of acquisition, how many there are at its place up to it."""
    seen: Counter[int] = Counter()
    numbers = []
    for place in _places(stack):
        seen[place] += 1
        numbers.append(seen[place])
    return numbers
