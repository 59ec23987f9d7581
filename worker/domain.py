"""The frozen records that cross module boundaries of the worker: no dicts, no ORM rows.

Coordinates: boxes are `(x1, y1, x2, y2)` in pixels of the decoded instance, origin top left. Patient coordinates are
DICOM LPS millimetres (PS3.3 C.7.6.2.1.1).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from reports.content import Priority
from trainer.runtime.records import NO_TUMOR_INDEX, GreyImage, SlicePrediction, TumorClass, most_likely

__all__ = [
    "Acquisition",
    "Analysis",
    "GreyRange",
    "InstanceHeader",
    "PatientText",
    "PixelGeometry",
    "Priority",
    "ReadInstance",
    "ReviewReason",
    "SliceFinding",
    "SliceKey",
    "StudyKind",
]


SliceKey = tuple[str, int]
"""What tells a slice from every other: sha256 of its file, number of its frame."""


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
class GreyRange:
    """Which values are shown black and white, in rescaled units (PS3.3 C.11.1)."""

    black: float
    white: float


@dataclass(frozen=True)
class Acquisition:
    """How a slice was acquired, as far as the header says (PS3.3 C.8.3.1, C.8.13).

    Attributes:
        echo_time_ms: EchoTime or EffectiveEchoTime.
        repetition_time_ms: RepetitionTime.
        inversion_time_ms: InversionTime, `None` without an inversion pulse.
        is_gradient_echo: whether ScanningSequence or EchoPulseSequence says so.
        is_echo_planar: whether ScanningSequence or EchoPlanarPulseSequence says so.
        has_contrast_agent: whether a contrast agent is named.
        b_value: DiffusionBValue, s/mm²; `None` of what is not diffusion-weighted.
        image_type: ImageType from its third value on, or FrameType, in upper case.
        time_point: TemporalPositionIdentifier or TemporalPositionIndex.
        number: AcquisitionNumber or FrameAcquisitionNumber.
    """

    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    inversion_time_ms: float | None = None
    is_gradient_echo: bool = False
    is_echo_planar: bool = False
    has_contrast_agent: bool = False
    b_value: float | None = None
    image_type: tuple[str, ...] = ()
    time_point: int | None = None
    number: int | None = None


@dataclass(frozen=True)
class InstanceHeader:
    """Everything about one slice apart from its pixels. A plain image gets `2.25.` UIDs of its sha256.

    Attributes:
        grey_range: how its own window, or its own pixels, would show it; `None` of a plain image.
        frame: number of the frame in its multi-frame instance, from 1; always 1 where an instance is one slice.
    """

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
    grey_range: GreyRange | None = None
    frame: int = 1
    acquisition: Acquisition = field(default_factory=Acquisition)
    patient: PatientText = field(default_factory=PatientText)

    @property
    def slice_key(self) -> SliceKey:
        """What tells this slice from every other."""
        return self.sha256, self.frame

    @property
    def series_name(self) -> str:
        """For people: the series' description, or its number."""
        return self.series_description or f"Series {self.series_number or ''}".strip()


@dataclass(frozen=True)
class ReadInstance:
    """One instance that can be read: a single slice, or the frames of an enhanced MR object.

    Attributes:
        headers: one a frame, in the order of the file.
        frame_pixels: `(rows, columns)` uint8 of a frame, counted from 1: windowed, MONOCHROME2 sense (bright is high),
            upright. Frames of an instance share one window. Those of a multi-frame instance are decoded anew at each
            call, so that memory holds one.
        warning: one sentence when something was worked around, for example only the first picture was read.
    """

    headers: tuple[InstanceHeader, ...]
    frame_pixels: Callable[[int], GreyImage]
    warning: str | None = None

    @classmethod
    def of_one_slice(cls, header: InstanceHeader, pixels: GreyImage, warning: str | None = None) -> Self:
        """An instance of one slice, `(rows, columns)` uint8, which is decoded already."""
        return cls((header,), lambda _: pixels, warning)

    @property
    def header(self) -> InstanceHeader:
        """That of the first frame; what it says of study, series and instance holds for all."""
        return self.headers[0]

    @property
    def pixels(self) -> GreyImage:
        """The first frame."""
        return self.frame_pixels(1)


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
