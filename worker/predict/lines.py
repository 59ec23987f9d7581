"""The lines of `predict --json`, as records whose fields are those of the contract, in its order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from trainer.runtime.bundle import ModelBundle
from trainer.runtime.decision import Calibration
from trainer.runtime.records import CLASSES, TumorClass
from worker.analysis import lesions_of
from worker.domain import Analysis, Priority, ReviewReason, SliceFinding, StudyKind
from worker.errors import Reason, RejectedError
from worker.patient_coordinates import corners_mm
from worker.predict.inputs import InputFile
from worker.tracks import LesionTrack


class FileStatus(StrEnum):
    """What became of an input file."""

    READ = "read"
    LEFT_OUT = "left_out"
    REJECTED = "rejected"


class StudyStatus(StrEnum):
    """Whether the line has an answer."""

    OK = "ok"
    REJECTED = "rejected"


@dataclass(frozen=True)
class FileLine:
    """One input file; `message` says why it was not read, or what was worked around."""

    path: str
    status: FileStatus
    reason: Reason | None = None
    message: str | None = None

    @classmethod
    def left_out(cls, file: InputFile, why: str) -> "FileLine":
        """The line of a readable file whose series is not read."""
        return cls(file.name, FileStatus.LEFT_OUT, Reason.SERIES_NOT_SELECTED, why)

    @classmethod
    def rejected(cls, file: InputFile, error: RejectedError) -> "FileLine":
        """The line of a refused file."""
        return cls(file.name, FileStatus.REJECTED, error.reason, error.sentence)


@dataclass(frozen=True)
class BoxLine:
    """One lesion; `xyxy` in pixels of the decoded instance, which is in `file`, of its frame `frame` (from 1).

    `corners_mm` are its four corners in the patient (LPS; top left, top right, bottom left, bottom right), if known.
    `lesion` is the number of the lesion of the study it shows, from 1; none on less than 4 mm of thin slices.
    """

    label: TumorClass
    score: float
    xyxy: tuple[float, float, float, float]
    file: str
    frame: int
    corners_mm: tuple[tuple[float, float, float], ...] | None
    lesion: int | None


@dataclass(frozen=True)
class LesionLine:
    """One lesion of the study, followed through neighbouring slices.

    Attributes:
        probability: that it is one (`worker.tracks.LesionTrack.probability`); `None` where the model cannot tell,
            or the study is unlike brain MR.
        score: of its most certain box.
        slices: how many show it.
        diameter_mm: longest side of any of its boxes; `None` without a pixel spacing.
        extent_mm: across the slices; `None` where their positions are not known.
    """

    number: int
    label: TumorClass
    probability: float | None
    score: float
    slices: int
    diameter_mm: float | None
    extent_mm: float | None

    @classmethod
    def of(cls, number: int, track: LesionTrack, calibration: Calibration | None) -> "LesionLine":
        """The line of a track."""
        return cls(
            number,
            track.label,
            track.probability(calibration),
            track.best.box.score,
            len({finding.header.slice_key for finding in track.findings}),
            track.diameter_mm,
            track.extent_mm,
        )


@dataclass(frozen=True)
class StudyLine:
    """One study, or one file that belongs to none because it was rejected: then there is no answer.

    Attributes:
        path: the picture or rejected file itself, or the common folder of a DICOM study.
        files: every input file of the study, in the order in which they were found.
        probabilities: by class, fused and calibrated, sum 1.
        boxes: in reading order of the slices, then by score.
        model: version.
        lesions: that with the highest score first.
    """

    path: str
    files: tuple[FileLine, ...]
    status: StudyStatus
    reason: Reason | None
    label: TumorClass | None
    probabilities: dict[TumorClass, float] | None
    boxes: tuple[BoxLine, ...]
    priority: Priority | None
    review_reasons: tuple[ReviewReason, ...]
    model: str
    lesions: tuple[LesionLine, ...]


def answered(
    files: Sequence[FileLine], analysis: Analysis, named: Sequence[tuple[SliceFinding, str]], bundle: ModelBundle
) -> StudyLine:
    """The line of a study that was read; `named` are its slices in reading order with their files' names."""
    is_picture = named[0][0].header.kind is StudyKind.IMAGE
    tracks = lesions_of(analysis)
    calibration = None if ReviewReason.UNLIKE_BRAIN_MR in analysis.review_reasons else bundle.calibration
    lesion_of = {
        (finding.header.slice_key, finding.box): number
        for number, track in enumerate(tracks, start=1)
        for finding in track.findings
    }
    return StudyLine(
        path=files[0].path if is_picture else common_folder([file.path for file in files]),
        files=tuple(files),
        status=StudyStatus.OK,
        reason=None,
        label=analysis.label,
        probabilities=dict(zip(CLASSES, analysis.probabilities, strict=True)),
        boxes=tuple(
            BoxLine(
                box.label,
                box.score,
                box.xyxy,
                name,
                finding.header.frame,
                corners_mm(finding.header.geometry, box.xyxy),
                lesion_of.get((finding.header.slice_key, box)),
            )
            for finding, name in named
            for box in finding.prediction.boxes
        ),
        lesions=tuple(LesionLine.of(number, track, calibration) for number, track in enumerate(tracks, start=1)),
        priority=analysis.priority,
        review_reasons=analysis.review_reasons,
        model=bundle.version,
    )


def refused(file: FileLine, model: str) -> StudyLine:
    """The line of a rejected file that belongs to no study."""
    return StudyLine(
        path=file.path,
        files=(file,),
        status=StudyStatus.REJECTED,
        reason=file.reason,
        label=None,
        probabilities=None,
        boxes=(),
        lesions=(),
        priority=None,
        review_reasons=(),
        model=model,
    )


def common_folder(names: Sequence[str]) -> str:
    """The deepest folder that holds all of these files; `.` when only the working directory does."""
    folders = {os.path.dirname(name) for name in names}  # noqa: PTH120  names are text, archive members included
    if len({os.path.isabs(folder) for folder in folders}) > 1:  # noqa: PTH117
        folders = {os.path.abspath(folder) for folder in folders}  # noqa: PTH100
    return os.path.commonpath(folders) or "."
