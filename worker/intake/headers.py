"""An accepted DICOM header as the records of `worker.domain`."""

import re
from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset

from worker.domain import InstanceHeader, PatientText, PixelGeometry, StudyKind
from worker.intake.acquisition import acquisition_of
from worker.intake.elements import date_of, integer_of, numbers_of, text_of
from worker.intake.facts import HeaderFacts

_SEXES = frozenset({"M", "F", "O"})
_AGE = re.compile(r"[0-9]{3}[DWMY]", re.ASCII)

# A head in 64 pixels has some 4 mm a pixel; micrometres taken for millimetres are 1,000 times too large.
_MAX_SPACING_MM = 100.0
# Cosines are written with six digits; a larger deviation means that they are something else.
_COSINE_TOLERANCE = 1e-2
_MAX_POSITION_MM = 1e6


def frame_headers(
    dataset: Dataset, facts: HeaderFacts, frames: Sequence[Dataset], sha256: str
) -> tuple[InstanceHeader, ...]:
    """Build the header of each frame of an object that passed `select.refuse`: its UIDs are there and valid.

    Args:
        dataset: the object's header.
        facts: of it.
        frames: where each frame lies (`frames.frame_datasets`).
        sha256: of the file.
    """
    study_uid, series_uid, sop_uid = (uid or "" for uid in facts.uids)
    rows, columns = facts.rows or 0, facts.columns or 0
    first = InstanceHeader(
        kind=StudyKind.DICOM,
        sha256=sha256,
        study_uid=study_uid,
        series_uid=series_uid,
        sop_uid=sop_uid,
        geometry=geometry_of(frames[0], rows, columns),
        modality=facts.modality,
        series_description=text_of(dataset, "SeriesDescription"),
        series_number=integer_of(dataset, "SeriesNumber"),
        instance_number=integer_of(dataset, "InstanceNumber"),
        acquisition=acquisition_of(dataset, frames[0]),
        patient=patient_of(dataset),
    )
    rest = [
        replace(
            first,
            frame=number,
            geometry=geometry_of(frame, rows, columns),
            acquisition=acquisition_of(dataset, frame),
        )
        for number, frame in enumerate(frames[1:], start=2)
    ]
    return first, *rest


def patient_of(dataset: Dataset) -> PatientText:
    """Return patient and study text, at most 256 characters each; what is damaged or not legal is left out.

    Dates stay `YYYYMMDD` and the age stays as `034Y` (PS3.5 6.2): whoever prints them chooses the form.
    """
    sex = (text_of(dataset, "PatientSex") or "").upper()
    age = text_of(dataset, "PatientAge") or ""
    return PatientText(
        patient_name=text_of(dataset, "PatientName"),
        patient_id=text_of(dataset, "PatientID"),
        birth_date=date_of(dataset, "PatientBirthDate"),
        sex=sex if sex in _SEXES else None,
        age=age if _AGE.fullmatch(age) else None,
        study_date=date_of(dataset, "StudyDate"),
        study_description=text_of(dataset, "StudyDescription"),
    )


def geometry_of(dataset: Dataset, rows: int, columns: int) -> PixelGeometry:
    """Return where the image lies: mm, LPS (PS3.3 C.7.6.2). Values that cannot be true are left out."""
    return PixelGeometry(
        rows=rows,
        columns=columns,
        spacing_mm=_spacing(numbers_of(dataset, "PixelSpacing", 2)),
        position_mm=_position(numbers_of(dataset, "ImagePositionPatient", 3)),
        orientation=_orientation(numbers_of(dataset, "ImageOrientationPatient", 6)),
    )


def _spacing(numbers: Sequence[float] | None) -> tuple[float, float] | None:
    """Two positive distances."""
    if numbers is None or not all(0 < number <= _MAX_SPACING_MM for number in numbers):
        return None
    return numbers[0], numbers[1]


def _position(numbers: Sequence[float] | None) -> tuple[float, float, float] | None:
    """A point within a kilometre of the scanner."""
    if numbers is None or not all(abs(number) <= _MAX_POSITION_MM for number in numbers):
        return None
    return numbers[0], numbers[1], numbers[2]


def _orientation(numbers: Sequence[float] | None) -> tuple[float, float, float, float, float, float] | None:
    """Two unit vectors at right angles (C.7.6.2.1.1)."""
    if numbers is None or not all(abs(number) <= 1 + _COSINE_TOLERANCE for number in numbers):
        return None
    row, column = numbers[:3], numbers[3:]
    lengths = (sum(x * x for x in row), sum(x * x for x in column))
    cosine = sum(x * y for x, y in zip(row, column, strict=True))
    if abs(cosine) > _COSINE_TOLERANCE or any(abs(length - 1) > 2 * _COSINE_TOLERANCE for length in lengths):
        return None
    return numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
