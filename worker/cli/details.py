"""Everything about one study, for `show`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from trainer.runtime.records import CLASSES
from worker.store import queries
from worker.store.models import Event, FileState, Instance, Prediction, ScanFile, Study


@dataclass(frozen=True)
class FileDetails:
    """One input file; `original_name` is patient data."""

    sha256: str | None
    original_name: str
    size_bytes: int | None
    outcome: str
    reason: str | None
    message: str | None
    received_at: datetime


@dataclass(frozen=True)
class SeriesDetails:
    """One series and how many images of it were received."""

    series_uid: str
    number: int | None
    description: str | None
    modality: str | None
    images: int


@dataclass(frozen=True)
class BoxDetails:
    """One lesion box, `xyxy` in pixels of the decoded instance."""

    label: str
    score: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class PredictionDetails:
    """The model's answer for one image in one revision; `file` is its original name."""

    revision: int
    file: str
    sha256: str
    series_uid: str
    instance_number: int | None
    frame: int
    model: str
    probabilities: dict[str, float]
    classifier_probabilities: dict[str, float]
    boxes: tuple[BoxDetails, ...]


@dataclass(frozen=True)
class FindingDetails:
    """The answer for the study in one revision."""

    revision: int
    label: str
    probabilities: dict[str, float]
    priority: str
    review_reasons: tuple[str, ...]
    model: str
    engine: str
    analysed_at: datetime


@dataclass(frozen=True)
class ReportDetails:
    """One PDF; `path` is absolute, in the outbox, where it appears once the revision is reported."""

    revision: int
    path: str
    sha256: str
    rendered_at: datetime


@dataclass(frozen=True)
class EventDetails:
    """What happened when, oldest first; `file` is the sha256 of the file it happened to."""

    at: datetime
    kind: str
    detail: str | None
    file: str | None


@dataclass(frozen=True)
class StudyDetails:
    """One study; field names are those of the JSON contract."""

    study: str
    kind: str
    state: str
    priority: str | None
    revision: int
    incomplete: bool
    failure: str | None
    received_at: datetime
    reported_at: datetime | None
    files: tuple[FileDetails, ...]
    series: tuple[SeriesDetails, ...]
    predictions: tuple[PredictionDetails, ...]
    findings: tuple[FindingDetails, ...]
    reports: tuple[ReportDetails, ...]
    events: tuple[EventDetails, ...]


def read_details(session: Session, public_id: str, outbox: Path) -> StudyDetails | None:
    """The study people call by this id, `None` when there is none."""
    study = queries.study_by_public_id(session, public_id)
    if study is None:
        return None
    return StudyDetails(
        study=study.public_id,
        kind=study.kind,
        state=study.state,
        priority=study.priority,
        revision=study.revision,
        incomplete=study.incomplete,
        failure=study.failure,
        received_at=study.received_at,
        reported_at=study.reported_at,
        files=tuple(_file(file) for file in study.files),
        series=_series(study),
        predictions=_predictions(study),
        findings=_findings(study),
        reports=tuple(
            ReportDetails(row.revision, str(outbox / row.path), row.sha256, row.rendered_at) for row in study.reports
        ),
        events=_events(study, queries.events_of(session, study)),
    )


def _file(file: ScanFile) -> FileDetails:
    return FileDetails(
        sha256=file.sha256,
        original_name=file.original_name,
        size_bytes=file.size_bytes,
        outcome=FileState(file.state).outcome,
        reason=file.reason,
        message=file.message,
        received_at=file.received_at,
    )


def _series(study: Study) -> tuple[SeriesDetails, ...]:
    rows = {instance.series_id: instance.series for instance in study.instances}
    ordered = sorted(rows.values(), key=lambda row: (row.number is None, row.number or 0, row.id))
    return tuple(
        SeriesDetails(
            series_uid=row.series_uid,
            number=row.number,
            description=row.description,
            modality=row.modality,
            images=sum(instance.series_id == row.id for instance in study.instances),
        )
        for row in ordered
    )


def _predictions(study: Study) -> tuple[PredictionDetails, ...]:
    names = {file.id: file.original_name for file in study.files}
    found = [
        _prediction(instance, prediction, names.get(instance.file_id, ""))
        for instance in study.instances
        for prediction in instance.predictions
    ]
    return tuple(sorted(found, key=lambda row: row.revision))


def _prediction(instance: Instance, prediction: Prediction, name: str) -> PredictionDetails:
    return PredictionDetails(
        revision=prediction.revision,
        file=name,
        sha256=instance.sha256,
        series_uid=instance.series.series_uid,
        instance_number=instance.instance_number,
        frame=prediction.frame,
        model=prediction.model_version,
        probabilities=_by_class(prediction.probabilities),
        classifier_probabilities=_by_class(prediction.classifier_probabilities),
        boxes=tuple(BoxDetails(box.label, box.score, (box.x1, box.y1, box.x2, box.y2)) for box in prediction.boxes),
    )


def _findings(study: Study) -> tuple[FindingDetails, ...]:
    return tuple(
        FindingDetails(
            revision=row.revision,
            label=row.label,
            probabilities=_by_class(row.probabilities),
            priority=row.priority,
            review_reasons=tuple(row.review_reasons),
            model=row.model_version,
            engine=row.engine,
            analysed_at=row.analysed_at,
        )
        for row in study.results
    )


def _events(study: Study, events: Sequence[Event]) -> tuple[EventDetails, ...]:
    sums = {file.id: file.sha256 for file in study.files}
    return tuple(EventDetails(row.at, row.kind, row.detail, sums.get(row.file_id or 0)) for row in events)


def _by_class(probabilities: Sequence[float]) -> dict[str, float]:
    return {label.value: probability for label, probability in zip(CLASSES, probabilities, strict=True)}
