"""Stacks of slices: what of a series belongs together, in order along its normal, and where slices are missing.

A series may hold several orientations (a localizer, a three-plane scan), several echoes and kinds of image of one
acquisition, and the same slices at several times. Each of these is a volume of its own: only within one are slices
neighbours (PS3.3 C.7.6.2.1.1).
"""

import math
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

SAME_PLACE_MM = 0.25
"""Slices closer than this lie at one place: echoes, time points, copies. Positions of repeated scans differ by tenths
of a millimetre where motion was corrected for; slices of a head are farther apart."""
GAP = 1.5
"""Slices farther apart than this many times the usual distance have others missing between them."""
_PARALLEL = 1e-3
_ALONG_AXIS = 0.8
_REPEATED_SHARE = 0.5
_REPEATED_FROM = 3
"""Places with several slices, from which on these are echoes or repetitions: half of all, and three at least."""

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
        repetition: 1 of the volume with the most places where the same ones were scanned several times in this series,
            the first of such; more of the others.
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
        series = self.headers[0].series_name
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
    def places(self) -> list[int]:
        """Number of the place of each slice along the normal, from 0; slices of one place have the same."""
        return place_numbers(self.depths_mm or ())

    @property
    def levels_mm(self) -> tuple[float, ...]:
        """Places along the normal, ascending, each once, where its first slice lies."""
        first: dict[int, float] = {}
        for place, depth in zip(self.places, self.depths_mm or (), strict=True):
            first.setdefault(place, depth)
        return tuple(first.values())

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
    stacks, unplaced = _parallel_stacks(slices)
    several = len(stacks) > 1 or (bool(stacks) and bool(unplaced))
    volumes: list[Volume] = []
    for stack in stacks:
        where = Volume(tuple(header for _, header in stack), None).plane.value if several else ""
        volumes += _as_volumes(_parts(stack, _is_repeated(stack)), where, placed=True)
    if unplaced:
        stack = [(0.0, header) for header in unplaced]
        volumes += _as_volumes(_parts(stack, True), "without position" if several else "", placed=False)
    return volumes


def _as_volumes(parts: Sequence["_Part"], where: str, *, placed: bool) -> list[Volume]:
    ranks = _ranks(parts)
    volumes = []
    for part, rank in zip(parts, ranks, strict=True):
        ordered = sorted(part.stack, key=lambda at: at[0])
        volumes.append(
            Volume(
                tuple(header for _, header in ordered),
                tuple(depth for depth, _ in ordered) if placed else None,
                ", ".join(word for word in (where, *part.shown, *part.times) if word),
                rank,
            )
        )
    return volumes


def _ranks(parts: Sequence["_Part"]) -> list[int]:
    """Number each part among those that show the same, those with the most slices first, then the earlier ones."""
    ranks = [0] * len(parts)
    counts: Counter[tuple[str, ...]] = Counter()
    for index in sorted(range(len(parts)), key=lambda index: -len(parts[index].stack)):
        counts[parts[index].shown] += 1
        ranks[index] = counts[parts[index].shown]
    return ranks


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
    """Slices of a stack, in the order of acquisition.

    Attributes:
        shown: what they show that other parts do not, for people.
        times: which repetition of what they show they are, likewise.
    """

    stack: list[_Placed]
    shown: tuple[str, ...] = ()
    times: tuple[str, ...] = ()


def _echo(header: InstanceHeader) -> Hashable:
    return None if header.acquisition.echo_time_ms is None else round(header.acquisition.echo_time_ms, 1)


_KEYS: tuple[tuple[str, Callable[[InstanceHeader], Hashable], bool], ...] = (
    ("echo", _echo, False),
    ("inversion", lambda header: header.acquisition.inversion_time_ms, False),
    ("contrast", lambda header: header.acquisition.has_contrast_agent, False),
    ("diffusion", lambda header: header.acquisition.b_value, False),
    ("kind", lambda header: header.acquisition.image_type, False),
    ("time point", lambda header: header.acquisition.time_point, True),
    ("acquisition", lambda header: header.acquisition.number, True),
)
"""What tells slices at one place apart: its name for people, its value, whether it is the same picture once more."""


def _is_repeated(stack: Sequence[_Placed]) -> bool:
    """Whether places are scanned several times, and not single slices doubled."""
    counts = list(Counter(_places(stack)).values())
    return sum(count > 1 for count in counts) >= max(_REPEATED_FROM, _REPEATED_SHARE * len(counts))


def _parts(stack: list[_Placed], is_repeated: bool) -> list[_Part]:
    """Slices of one orientation, parted by what tells those at one place apart."""
    parts = [_Part(stack)]
    if not is_repeated:
        return parts
    for name, value, repeats in _KEYS:
        parts = [finer for part in parts for finer in _parted(part, name, value, repeats=repeats)]
    return [finer for part in parts for finer in _repetitions(part)]


def _parted(part: _Part, name: str, value: Callable[[InstanceHeader], Hashable], *, repeats: bool) -> list[_Part]:
    groups: dict[Hashable, list[_Placed]] = {}
    for placed in part.stack:
        groups.setdefault(value(placed[1]), []).append(placed)
    # where it also differs from place to place it does not tell the slices of one place apart
    if not 1 < len(groups) <= max(_occurrences(part.stack)) or min(map(len, groups.values())) < _REPEATED_FROM:
        return [part]
    words = [f"{name} {number}" for number in range(1, len(groups) + 1)]
    return [
        _Part(group, part.shown, (*part.times, word)) if repeats else _Part(group, (*part.shown, word), part.times)
        for word, group in zip(words, groups.values(), strict=True)
    ]


def _repetitions(part: _Part) -> list[_Part]:
    """Whole stacks scanned again, where nothing in the header says so."""
    if len(set(_places(part.stack))) == 1 or not _is_repeated(part.stack):
        return [part]
    again: dict[int, list[_Placed]] = {}
    for placed, number in zip(part.stack, _occurrences(part.stack), strict=True):
        again.setdefault(number, []).append(placed)
    return [
        replace(part, stack=stack, times=(*part.times, f"repetition {number}"))
        for number, stack in sorted(again.items())
    ]


def place_numbers(depths_mm: Sequence[float]) -> list[int]:
    """Number of the place of each slice along the normal, from 0, lowest first; slices of one place have the same.

    A slice belongs to the place below it when it is nearer than `SAME_PLACE_MM` to where that begins.
    """
    places, begins, place = [0] * len(depths_mm), -math.inf, -1
    for index in sorted(range(len(depths_mm)), key=lambda index: depths_mm[index]):
        if depths_mm[index] - begins >= SAME_PLACE_MM:
            place, begins = place + 1, depths_mm[index]
        places[index] = place
    return places


def _places(stack: Sequence[_Placed]) -> list[int]:
    return place_numbers([depth for depth, _ in stack])


def _occurrences(stack: Sequence[_Placed]) -> list[int]:
    """For each slice, in the order of acquisition, how many there are at its place up to it."""
    seen: Counter[int] = Counter()
    numbers = []
    for place in _places(stack):
        seen[place] += 1
        numbers.append(seen[place])
    return numbers
