"""Which places of a volume speak together, and what they say together (docs/adr/0007).

A lesion shows on neighbouring slices, so one slice alone is heard only where slices are thick.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from worker.domain import InstanceHeader
from worker.volumes import GAP, Volume

SLICES_MISSED = 1
"""A lesion may go unseen on so many slices in between."""
NEIGHBOURS_WITHIN_MM = 12.0
"""Slices farther apart are no neighbours: a lesion may begin and end between them."""
SUPPORT_MM = 4.0
"""A lesion is seen over so much along the normal: on one thick slice, or on several thin ones. Of thin slices a box on
one alone is none."""
ROUNDING_MM = 0.05
FEWEST_NEIGHBOURS = 2
"""So many places speak together at least where they are neighbours at all."""
UNPLACED_SLICES = 3
"""So many slices in a row speak together where no position says how far apart they are."""

Place = Sequence[InstanceHeader]
"""The slices at one place along the normal: one, or copies."""


def windows_of(volume: Volume) -> Iterator[Sequence[Place]]:
    """Every run of neighbouring places that speaks together; of a shorter run of neighbours the whole."""
    places_together = _places_together(volume.spacing_mm)
    for run in _runs(volume):
        together = min(places_together, len(run))
        for start in range(len(run) - together + 1):
            yield run[start : start + together]


def places_heard_with(volume: Volume, slice_: InstanceHeader) -> int:
    """How many places speak together where this slice lies."""
    return max(len(window) for window in windows_of(volume) if any(slice_ in place for place in window))


def said_together(heard: Sequence[float], spacing_mm: float | None) -> float:
    """The probability that neighbouring places give together: of thick slices the mean, of thinner ones the least.

    Where more than three speak one may have missed the lesion, and is not counted.

    Args:
        heard: the probability of each place.
        spacing_mm: the usual distance between places; `None` where it is not known.
    """
    if spacing_mm is None or spacing_mm >= SUPPORT_MM - ROUNDING_MM:
        return float(np.mean(heard))
    missed = SLICES_MISSED if len(heard) > FEWEST_NEIGHBOURS + SLICES_MISSED else 0
    return sorted(heard)[missed]


def _runs(volume: Volume) -> Iterator[list[Place]]:
    """The slices place by place, parted where others are missing in between."""
    if volume.depths_mm is None:
        yield [[header] for header in volume.headers]
        return
    farthest = min(NEIGHBOURS_WITHIN_MM, GAP * (volume.spacing_mm or NEIGHBOURS_WITHIN_MM))
    run: list[Place] = []
    last = math.nan
    slices_of = groupby(zip(volume.places, volume.depths_mm, volume.headers, strict=True), key=lambda placed: placed[0])
    for _, placed in slices_of:
        (_, depth, first), *copies = placed
        if run and depth - last > farthest + ROUNDING_MM:
            yield run
            run = []
        run.append([first, *(header for *_, header in copies)])
        last = depth
    yield run


def _places_together(spacing_mm: float | None) -> int:
    if spacing_mm is None:
        return UNPLACED_SLICES
    return max(FEWEST_NEIGHBOURS, math.ceil((SUPPORT_MM - ROUNDING_MM) / spacing_mm))
