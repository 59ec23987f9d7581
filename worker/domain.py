"""The frozen records that cross module boundaries of the worker: no dicts, no ORM rows.

Coordinates: boxes are `(x1, y1, x2, y2)` in pixels of the decoded instance, origin top left. Patient coordinates are
DICOM LPS millimetres (PS3.3 C.7.6.2.1.1).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from reports.content import Priority
from trainer.runtime.records import NO_TUMOR_INDEX, GreyImage, SlicePrediction, TumorClass, most_likely

__all__ = [
    "Analysis",
    "InstanceHeader",
    "PatientText",
    "PixelGeometry",
    "Priority",
    "ReadInstance",
    "ReviewReason",
    "SliceFinding",
    "StudyKind",
]


class StudyKind(StrEnum):
    """Where a study came from: one plain image, or DICOM instances of one StudyInstanceUID."""

    IMAGE = "image"
    DICOM = "dicom"


class ReviewReason(StrEnum):
    """Why a person should look. Stable slugs."""

    CLASSIFIER_DISAGREES = "classifier_disagrees"
    LOW_MARGIN = "low_margin"
    TUMOR_WITHOUT_BOX = "tumor_without_box"
    UNLIKE_BRAIN_MR = "unlike_brain_mr"
    UNSURE_OF_UNFAMILIAR = "unsure_of_unfamiliar"
    PATIENT_ID_CONFLICT = "patient_id_conflict"


@dataclass(frozen=True)
class PatientText:
    """Patient and study text as the header gives it, decoded, stripped and bounded. Never logged."""

    patient_name: str | None = None
    patient_id: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    age: str | None = None
    study_date: str | None = None
    study_description: str | None = None


@dataclass(frozen=True)
class PixelGeometry:
    """Where an instance lies.

    Attributes:
        rows: pixels.
        columns: pixels.
        spacing_mm: (row spacing, column spacing) of PixelSpacing, `None` when absent or not positive and finite.
        position_mm: ImagePositionPatient, LPS mm.
        orientation: ImageOrientationPatient, six direction cosines.
    """

    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None = None
    position_mm: tuple[float, float, float] | None = None
    orientation: tuple[float, float, float, float, float, float] | None = None


@dataclass(frozen=True)
class InstanceHeader:
    """Everything about one readable instance apart from its pixels. A plain image gets `2.25.` UIDs of its sha256."""

    kind: StudyKind
    sha256: str
    study_uid: str
    series_uid: str
    sop_uid: str
    geometry: PixelGeometry
    modality: str | None = None
    series_description: str | None = None
    series_number: int | None = None
    instance_number: int | None = None
    patient: PatientText = field(default_factory=PatientText)


@dataclass(frozen=True)
class ReadInstance:
    """One decoded instance.

    Attributes:
        header: its header.
        pixels: `(rows, columns)` uint8, windowed, MONOCHROME2 sense (bright is high), upright.
        warning: one sentence when something was worked around, for example only the first frame was read.
    """

    header: InstanceHeader
    pixels: GreyImage
    warning: str | None = None


@dataclass(frozen=True)
class SliceFinding:
    """A prediction and the instance it belongs to."""

    header: InstanceHeader
    prediction: SlicePrediction


@dataclass(frozen=True)
class Analysis:
    """The answer for one study.

    Attributes:
        probabilities: fused and calibrated for the study, order of `CLASSES`, sum 1.
        priority: triage result.
        review_reasons: why a person should look, possibly empty.
        slices: per-instance predictions in reading order.
    """

    probabilities: tuple[float, ...]
    priority: Priority
    review_reasons: tuple[ReviewReason, ...]
    slices: tuple[SliceFinding, ...]

    @property
    def label(self) -> TumorClass:
        """The class of the largest probability."""
        return most_likely(self.probabilities)

    @property
    def tumor_probability(self) -> float:
        """1 - P(No Tumor)."""
        return 1.0 - self.probabilities[NO_TUMOR_INDEX]
