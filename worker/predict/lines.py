"""The lines of `predict --json`, as records whose fields are those of the contract, in its order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from trainer.runtime.records import CLASSES, TumorClass
from worker.domain import Analysis, Priority, ReviewReason, SliceFinding, StudyKind
from worker.errors import Reason, RejectedError
from worker.patient_coordinates import corners_mm
from worker.predict.inputs import InputFile


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
    """

    label: TumorClass
    score: float
    xyxy: tuple[float, float, float, float]
    file: str
    frame: int
    corners_mm: tuple[tuple[float, float, float], ...] | None


@dataclass(frozen=True)
class StudyLine:
    """One study, or one file that belongs to none because it was rejected: then there is no answer.

    Attributes:
        path: the picture or rejected file itself, or the common folder of a DICOM study.
        files: every input file of the study, in the order in which they were found.
        probabilities: by class, fused and calibrated, sum 1.
        boxes: in reading order of the slices, then by score.
        model: version.
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


def answered(
    files: Sequence[FileLine], analysis: Analysis, named: Sequence[tuple[SliceFinding, str]], model: str
) -> StudyLine:
    """The line of a study that was read; `named` are its slices in reading order with their files' names."""
    is_picture = named[0][0].header.kind is StudyKind.IMAGE
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
            )
            for finding, name in named
            for box in finding.prediction.boxes
        ),
        priority=analysis.priority,
        review_reasons=analysis.review_reasons,
        model=model,
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
