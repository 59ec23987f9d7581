"""What belongs together: study identity, one window a series, and when a study is complete."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median

from worker.domain import GreyRange, InstanceHeader, StudyKind


def public_study_id(study_uid: str, taken: int = 0) -> str:
    """The 12 characters by which people and scripts name a study: a hash, since a UID can name a hospital.

    So few can be made to meet. Where other studies have the first `taken` of them, this is the next.
    """
    text = study_uid if taken == 0 else f"{study_uid} {taken}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def ready_at(
    kind: StudyKind, first_arrival: datetime, last_arrival: datetime, quiet: timedelta, quiet_max: timedelta
) -> datetime:
    """When a study may be read: an image at once, DICOM when nothing came for `quiet` or `quiet_max` have passed."""
    if kind is StudyKind.IMAGE:
        return last_arrival
    return min(last_arrival + quiet, max(first_arrival + quiet_max, last_arrival))


def series_ranges(headers: Iterable[InstanceHeader]) -> dict[str, GreyRange]:
    """One range of grey values for each series of DICOM slices: the medians of what its slices would have.

    A lesion must not change brightness from slice to slice, as it would where each slice has a window of its own, and a
    slice of air and noise must not be stretched to look like a head.
    """
    ranges: dict[str, list[GreyRange]] = {}
    for header in headers:
        if header.grey_range is not None:
            ranges.setdefault(header.series_uid, []).append(header.grey_range)
    return {
        series_uid: GreyRange(median(each.black for each in found), median(each.white for each in found))
        for series_uid, found in ranges.items()
    }


def patient_ids_conflict(headers: Iterable[InstanceHeader]) -> bool:
    """Do headers of one study name different patients? One that names none agrees with all."""
    return len({header.patient.patient_id for header in headers if header.patient.patient_id is not None}) > 1


def missing_instance_numbers(headers: Sequence[InstanceHeader]) -> dict[str, tuple[int, ...]]:
    """InstanceNumbers absent between the first and the last of each series, ascending, by SeriesInstanceUID.

    Series of which none can be told to be missing are left out.
    """
    missing: dict[str, tuple[int, ...]] = {}
    for series_uid in dict.fromkeys(header.series_uid for header in headers):
        numbers = {
            header.instance_number
            for header in headers
            if header.series_uid == series_uid and header.instance_number is not None
        }
        if numbers and max(numbers) - min(numbers) < 10 * len(numbers):
            missing[series_uid] = tuple(sorted(set(range(min(numbers), max(numbers))) - numbers))
    return {series_uid: absent for series_uid, absent in missing.items() if absent}
