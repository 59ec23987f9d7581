"""What a report says, as plain frozen data. All text is patient data or machine text, never markup.

Coordinates: boxes are `(x1, y1, x2, y2)` in pixels of the image they lie on, origin top left.
Times are timezone-aware UTC. Absent facts are `None` and are left out of the page, never invented.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

RESEARCH_USE_ONLY = (
    "Research use only. Not a medical device. Not for diagnosis or treatment decisions. "
    "Every finding must be confirmed by a qualified radiologist."
)


class Priority(StrEnum):
    """Triage result, most urgent first."""

    URGENT = "urgent"
    REVIEW = "review"
    ROUTINE = "routine"


@dataclass(frozen=True)
class Patient:
    """Who the study says it is; every field may be absent."""

    name: str | None = None
    patient_id: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    age: str | None = None


@dataclass(frozen=True)
class MarkedBox:
    """One box drawn on a key image; `number` refers to the row of the findings table."""

    number: int
    label: str
    score: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class EdgeLetters:
    """Where each edge of an image points to in the patient: L/R, A/P, S/I, several where it is oblique."""

    left: str
    top: str
    right: str
    bottom: str


@dataclass(frozen=True)
class KeyImage:
    """A scan as the network saw it, before annotation.

    Attributes:
        jpeg: grey or RGB JPEG bytes, upright.
        width: pixels, the frame `boxes` refer to.
        height: pixels.
        caption: for example `T1 axial, slice 12 of 26`.
        boxes: lesions to draw.
        edges: which way is which; `None` where the file does not say.
    """

    jpeg: bytes
    width: int
    height: int
    caption: str
    boxes: tuple[MarkedBox, ...] = ()
    edges: EdgeLetters | None = None


@dataclass(frozen=True)
class FindingRow:
    """One lesion, a row of the findings table.

    Attributes:
        number: that of its boxes on the key images.
        score: of its most certain box.
        location: the slices on which it was found.
        size_px: (width, height) of that box, pixels of the instance.
        diameter_mm: longest side of any of its boxes; `None` without a pixel spacing.
        extent_mm: across the slices; `None` where their positions are not known.
        probability: that it is a lesion, of whatever class; `None` where the model cannot tell.
    """

    number: int
    label: str
    score: float
    location: str
    size_px: tuple[float, float]
    diameter_mm: float | None = None
    extent_mm: float | None = None
    probability: float | None = None


@dataclass(frozen=True)
class SeriesRow:
    """One series of a study, or a part of it that is a stack of its own, and what became of it.

    Attributes:
        name: as the scanner calls it.
        weighting: for example `T1 with contrast`; `None` where nothing of the series could be read.
        plane: likewise, for example `axial`.
        slices: how many.
        spacing_mm: the usual distance from one to the next along their normal; `None` where it is not known.
        outcome: `read`, `left out` or `rejected`.
        remark: a sentence: why it was not read, or what is irregular about it.
    """

    name: str
    weighting: str | None
    plane: str | None
    slices: int
    spacing_mm: float | None
    outcome: str
    remark: str | None = None


@dataclass(frozen=True)
class InputFile:
    """One input file and what became of it; `outcome` is `read`, `left out` or `rejected`."""

    name: str
    sha256: str
    outcome: str
    message: str | None = None


@dataclass(frozen=True)
class ModelFacts:
    """The model behind the report and its measured quality, straight from its `metrics.json`."""

    version: str
    engine: str
    weights_sha256: str | None
    accuracy: float | None = None
    accuracy_ci95: tuple[float, float] | None = None
    map50_tumour: float | None = None
    test_images: int | None = None


@dataclass(frozen=True)
class ReportContent:
    """All that one study's PDF says."""

    study: str
    revision: int
    priority: Priority
    label: str
    probabilities: tuple[tuple[str, float], ...]
    review_reasons: tuple[str, ...]
    notes: tuple[str, ...]
    patient: Patient
    study_description: str | None
    study_date: str | None
    key_images: tuple[KeyImage, ...]
    findings: tuple[FindingRow, ...]
    series: tuple[SeriesRow, ...]
    files: tuple[InputFile, ...]
    model: ModelFacts
    received_at: datetime
    reported_at: datetime
    software_version: str


@dataclass(frozen=True)
class WorklistEntry:
    """One row of the worklist page, already in worklist order.

    Attributes:
        report: path of the PDF relative to the worklist page, `None` until it exists.
        thumbnail_jpeg: small annotated picture, embedded in the page so that it opens offline.
    """

    study: str
    patient: str | None
    files: tuple[str, ...]
    priority: Priority | None
    label: str | None
    probability: float | None
    review_reasons: tuple[str, ...]
    state: str
    revision: int
    received_at: datetime
    reported_at: datetime | None
    report: str | None
    thumbnail_jpeg: bytes | None = None


@dataclass(frozen=True)
class WorklistTotals:
    """How many studies there are, shown on the page or not; one with a priority that failed counts under both."""

    studies: int
    urgent: int
    review: int
    routine: int
    waiting: int
    failed: int
