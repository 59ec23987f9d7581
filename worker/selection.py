"""Which volumes of a study are read: the best of each weighting and plane, at most so many. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain import InstanceHeader, SliceKey
from worker.volumes import Plane, Volume, volumes_of
from worker.weighting import Weighting

FEW_SLICES = 3
"""A series of fewer slices is read after those that show the head."""
_COVERAGE_STEP_MM = 20.0
_WEIGHTINGS, _PLANES = tuple(Weighting), tuple(Plane)


@dataclass(frozen=True)
class Choice:
    """What becomes of a volume; `why_not` is a sentence, `None` where it is read."""

    volume: Volume
    why_not: str | None = None

    @property
    def is_read(self) -> bool:
        """Whether the network looks at it."""
        return self.why_not is None


def choose(headers: Sequence[InstanceHeader], max_series: int) -> list[Choice]:
    """What is read of a study, in the order of `volumes_of`.

    Of volumes scanned several times one is read. The others are read in turns: the best volume of every weighting,
    then the second of every weighting, and so on; those of other weightings, which the network has not learnt, after
    all of these. Within a weighting those of other planes go before a second of the same plane, axial first; of the
    same plane the one that covers more of the head, then the finer one.

    Args:
        headers: all slices of the study.
        max_series: volumes read at most.
    """
    volumes = volumes_of(headers)
    first = [volume for volume in volumes if volume.repetition == 1]
    chosen = {id(volume) for volume in _in_turns(first)[:max_series]}
    return [Choice(volume, _why_not(volume, id(volume) in chosen, max_series)) for volume in volumes]


def all_headers(choices: Sequence[Choice]) -> list[InstanceHeader]:
    """All slices of the study, in reading order."""
    return [header for choice in choices for header in choice.volume.headers]


def chosen_headers(choices: Sequence[Choice]) -> list[InstanceHeader]:
    """The slices that are read, in reading order."""
    return [header for choice in choices if choice.is_read for header in choice.volume.headers]


def left_out_slices(choices: Sequence[Choice]) -> dict[SliceKey, str]:
    """Why slices are not read: the sentence of each."""
    return {
        header.slice_key: choice.why_not
        for choice in choices
        if choice.why_not is not None
        for header in choice.volume.headers
    }


def left_out_objects(choices: Sequence[Choice]) -> dict[str, str]:
    """Why objects are not read, none of whose slices is: sentences by sha256."""
    read = {header.sha256 for header in chosen_headers(choices)}
    return {sha256: why for (sha256, _), why in left_out_slices(choices).items() if sha256 not in read}


def _why_not(volume: Volume, is_chosen: bool, max_series: int) -> str | None:
    if volume.repetition > 1:
        return "Another scan of the same slices in this series is read."
    return None if is_chosen else f"Other series that show more are read, {max_series} at most (TRIAGE_MAX_SERIES)."


def _in_turns(volumes: Sequence[Volume]) -> list[Volume]:
    turns: list[tuple[bool, int, int, Volume]] = []
    for place, weighting in enumerate(_WEIGHTINGS):
        alike = sorted((volume for volume in volumes if volume.weighting is weighting), key=_quality)
        seen: dict[Plane, int] = {}
        ranked = []
        for volume in alike:
            seen[volume.plane] = seen.get(volume.plane, 0) + 1
            ranked.append((seen[volume.plane], _PLANES.index(volume.plane), volume))
        ranked.sort(key=lambda item: item[:2])
        is_other = weighting is Weighting.OTHER
        turns += [(is_other, turn, place, volume) for turn, (*_, volume) in enumerate(ranked)]
    return [volume for *_, volume in sorted(turns, key=lambda item: item[:3])]


def _quality(volume: Volume) -> tuple[bool, float, float]:
    """Lower is better: enough slices, then coverage along the normal, then the distance between pixels."""
    levels = volume.levels_mm
    coverage = levels[-1] - levels[0] if levels else 0.0
    spacing = volume.headers[0].geometry.spacing_mm
    return (
        max(len(levels), 1) < FEW_SLICES,
        -(coverage // _COVERAGE_STEP_MM),
        spacing[0] * spacing[1] if spacing else float("inf"),
    )
