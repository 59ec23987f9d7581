"""Every other SQL statement of the worker. Functions take a session; the caller owns the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.sql.base import ExecutableOption

from trainer.runtime.records import Box
from worker.domain import Analysis, InstanceHeader, PixelGeometry, Priority, StudyKind
from worker.errors import Reason, TransientError
from worker.patient_coordinates import corners_mm
from worker.store.models import (
    UNFINISHED_FILES,
    UNFINISHED_STUDIES,
    Event,
    FileState,
    Instance,
    LesionBox,
    Prediction,
    Report,
    Result,
    ScanFile,
    Series,
    Study,
    StudyState,
)
from worker.store.pseudonyms import neutral_file_name, pseudonyms_of
from worker.studies import public_study_id, ready_at
from worker.weighting import telling_words

PRIORITY_RANK = {Priority.URGENT: 0, Priority.REVIEW: 1, Priority.ROUTINE: 2}
READ_AGAIN_RANK = 3
"""A study that has a report already waits behind those that have none."""
SAME_SOP_UID = "Different images of this study carry the same SOPInstanceUID; all of them are read."


def record(
    session: Session,
    kind: str,
    at: datetime,
    study_id: int | None = None,
    file_id: int | None = None,
    detail: str | None = None,
) -> None:
    """Append an event; `detail` must not hold patient data."""
    session.add(Event(kind=kind, at=at, study_id=study_id, file_id=file_id, detail=detail))


def insert_once(session: Session, table: type[Any], unique: str, **values: Any) -> None:
    """Insert a row unless there is one with the same `unique` columns (named in one text, apart by blanks)."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(dialect.insert(table).values(**values).on_conflict_do_nothing(index_elements=unique.split()))


def has_stored_files(session: Session) -> bool:
    """Does any row name bytes in the store?"""
    return bool(session.scalar(select(exists().where(ScanFile.sha256.is_not(None)))))


def add_file(session: Session, claim_id: str, original_name: str, rank: int, now: datetime, **of_a_member: Any) -> None:
    """Register a claimed file; a second time changes nothing. The name is not kept where text is not.

    Args:
        session: the caller commits.
        claim_id: its claim, or that made up for a member of an archive.
        original_name: below the inbox.
        rank: lower goes first.
        now: when it came.
        of_a_member: `archive_id`, `sha256` and `size_bytes`, since members are stored before they have rows.
    """
    name = original_name if pseudonyms_of(session) is None else neutral_file_name(claim_id)
    insert_once(
        session,
        ScanFile,
        "claim_id",
        claim_id=claim_id,
        original_name=name,
        state=FileState.CLAIMED,
        rank=rank,
        received_at=now,
        waiting_since=now,
        not_before=now,
        **of_a_member,
    )


def known_claims(session: Session, claim_ids: Sequence[str]) -> set[str]:
    """Which of these claims have a row."""
    return set(session.scalars(select(ScanFile.claim_id).where(ScanFile.claim_id.in_(claim_ids))))


def finished_claims(session: Session, claim_ids: Sequence[str]) -> set[str]:
    """Which of these claims have been stored and committed, so that their folders may go."""
    wanted = select(ScanFile.claim_id).where(
        ScanFile.claim_id.in_(claim_ids), ScanFile.state != FileState.CLAIMED, ScanFile.sha256.is_not(None)
    )
    return set(session.scalars(wanted))


def instance_with_bytes(session: Session, sha256: str) -> Instance | None:
    """The instance already read from the same bytes."""
    return session.scalar(select(Instance).where(Instance.sha256 == sha256))


def add_instance(
    session: Session,
    file: ScanFile,
    headers: Sequence[InstanceHeader],
    warning: str | None,
    now: datetime,
    quiet: timedelta,
    quiet_max: timedelta,
) -> Study:
    """Put a readable instance, all of its frames, into its study; opens study, series or a new revision as needed."""
    pseudonyms = pseudonyms_of(session)
    if pseudonyms is not None:
        headers = [pseudonyms.header(header) for header in headers]
    header = headers[0]
    study = _study_for_update(session, header, file.rank, now)
    _note_patient_id(study, header.patient.patient_id)
    series = _series(session, study, header)
    geometry = header.geometry
    if _has_sop_uid(session, study, header.sop_uid):
        warning = f"{warning} {SAME_SOP_UID}" if warning else SAME_SOP_UID
    session.add(
        Instance(
            study_id=study.id,
            series_id=series.id,
            file_id=file.id,
            sop_uid=header.sop_uid,
            sha256=header.sha256,
            instance_number=header.instance_number,
            rows=geometry.rows,
            columns=geometry.columns,
            **_place(header),
            grey_range=None if header.grey_range is None else [header.grey_range.black, header.grey_range.white],
            frames=[_place(each) for each in headers] if len(headers) > 1 else None,
            warning=warning,
        )
    )
    if study.state == StudyState.REPORTED:
        open_revision(session, study, now)
    # whoever analyses the study right now loses its claim, and its result with it
    study.state, study.lease_token, study.lease_until = StudyState.COLLECTING, None, None
    study.attempts = study.crashes = 0
    study.slices_done = study.slices_total = None
    study.failure = None
    study.rank = min(study.rank, file.rank)
    kind = StudyKind(study.kind)
    study.not_before = ready_at(kind, study.waiting_since, now, quiet, quiet_max)
    # it is known now that it will not be waited for; later `not_before` moves with every failed attempt
    study.incomplete = kind is StudyKind.DICOM and study.not_before < now + quiet
    return study


def open_revision(session: Session, study: Study, now: datetime) -> None:
    """What is reported stays as it is, and the next answer supersedes it; it waits from now on."""
    study.revision += 1
    study.waiting_since = now
    record(session, "revision_opened", now, study.id, detail=f"revision {study.revision}")


def part_of(session: Session, study_uid: str | None, series_name: str | None) -> dict[str, str | None]:
    """Columns of a refused file: what it would have been part of."""
    pseudonyms = pseudonyms_of(session)
    if pseudonyms is not None:
        series_name = telling_words(series_name)
        study_uid = None if study_uid is None else pseudonyms.uid(study_uid)
    return {"study_uid": study_uid, "series_name": series_name}


def has_instances(session: Session, study_uid: str, count: int) -> bool:
    """Does a study have at least so many? The UID is that of the file."""
    pseudonyms = pseudonyms_of(session)
    if pseudonyms is not None:
        study_uid = pseudonyms.uid(study_uid)
    numbered = select(Instance.id).join(Study).where(Study.study_uid == study_uid).offset(count - 1).limit(1)
    return session.scalar(numbered) is not None


def _note_patient_id(study: Study, patient_id: str | None) -> None:
    """A study of two patients needs a person; where the first header named none, a later one does."""
    if patient_id is None:
        return
    if study.patient_id is None:
        study.patient_id = patient_id
    elif study.patient_id != patient_id:
        study.patient_id_conflict = True


def _has_sop_uid(session: Session, study: Study, sop_uid: str) -> bool:
    wanted = select(Instance.id).where(Instance.sop_uid == sop_uid, Instance.study_id == study.id).limit(1)
    return session.scalar(wanted) is not None


def _place(header: InstanceHeader) -> dict[str, Any]:
    """Where a slice lies and how it was acquired, by the names of `Instance`'s columns."""
    geometry = header.geometry
    return {
        "spacing_mm": _list(geometry.spacing_mm),
        "position_mm": _list(geometry.position_mm),
        "orientation": _list(geometry.orientation),
        "acquisition": asdict(header.acquisition),
    }


def _list(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else list(values)


def _study_for_update(session: Session, header: InstanceHeader, rank: int, now: datetime) -> Study:
    patient = header.patient
    insert_once(
        session,
        Study,
        "study_uid",
        public_id=_public_id(session, header.study_uid),
        study_uid=header.study_uid,
        kind=header.kind,
        state=StudyState.COLLECTING,
        rank=rank,
        received_at=now,
        waiting_since=now,
        not_before=now,
        patient_name=patient.patient_name,
        patient_id=patient.patient_id,
        patient_birth_date=patient.birth_date,
        patient_sex=patient.sex,
        patient_age=patient.age,
        study_date=patient.study_date,
        study_description=patient.study_description,
    )
    wanted = select(Study).where(Study.study_uid == header.study_uid).with_for_update()
    study = session.scalars(wanted).one_or_none()
    if study is None:
        raise TransientError("the study was purged at this moment; its new file makes it anew")
    return study


def _public_id(session: Session, study_uid: str) -> str:
    """The first that no other study has."""
    for taken in count():
        public_id = public_study_id(study_uid, taken)
        if session.scalar(select(Study.study_uid).where(Study.public_id == public_id)) in (None, study_uid):
            break
    return public_id


def _series(session: Session, study: Study, header: InstanceHeader) -> Series:
    insert_once(
        session,
        Series,
        "study_id series_uid",
        study_id=study.id,
        series_uid=header.series_uid,
        number=header.series_number,
        description=header.series_description,
        modality=header.modality,
    )
    wanted = select(Series).where(Series.study_id == study.id, Series.series_uid == header.series_uid)
    return session.scalars(wanted).one()


def files(session: Session, ids: Sequence[int]) -> list[ScanFile]:
    """Files by id, in the order given."""
    rows = {row.id: row for row in session.scalars(select(ScanFile).where(ScanFile.id.in_(ids)))}
    return [rows[row_id] for row_id in ids]


def rejected_files(session: Session, study_uid: str) -> list[ScanFile]:
    """Files that name this study and were refused, oldest first."""
    wanted = select(ScanFile).where(ScanFile.study_uid == study_uid).order_by(ScanFile.id)
    return list(session.scalars(wanted))


def whole_studies(session: Session, ids: Sequence[int]) -> list[Study]:
    """Studies by id with files, series, instances, predictions, results and reports, in the order given."""
    wanted = select(Study).where(Study.id.in_(ids)).options(*_everything())
    rows = {row.id: row for row in session.scalars(wanted)}
    return [rows[row_id] for row_id in ids]


def _everything() -> tuple[ExecutableOption, ...]:
    return (
        selectinload(Study.files),
        selectinload(Study.instances).selectinload(Instance.series),
        selectinload(Study.instances).selectinload(Instance.predictions).selectinload(Prediction.boxes),
        selectinload(Study.results),
        selectinload(Study.reports),
    )


def study_by_public_id(session: Session, public_id: str) -> Study | None:
    """The study people call by this id, with everything that hangs on it."""
    return session.scalar(select(Study).where(Study.public_id == public_id).options(*_everything()))


def add_result(
    session: Session,
    study: Study,
    analysis: Analysis,
    instance_ids: dict[str, int],
    model_version: str,
    engine: str,
    now: datetime,
) -> None:
    """Keep the answer for the study's revision; `instance_ids` maps sha256 to instance."""
    for finding in analysis.slices:
        prediction = finding.prediction
        session.add(
            Prediction(
                instance_id=instance_ids[finding.header.sha256],
                frame=finding.header.frame,
                revision=study.revision,
                model_version=model_version,
                probabilities=list(prediction.probabilities),
                classifier_probabilities=list(prediction.classifier_probabilities),
                boxes=[_lesion_box(finding.header.geometry, box) for box in prediction.boxes],
            )
        )
    session.add(
        Result(
            study_id=study.id,
            revision=study.revision,
            label=analysis.label,
            probabilities=list(analysis.probabilities),
            priority=analysis.priority,
            review_reasons=[reason.value for reason in analysis.review_reasons],
            model_version=model_version,
            engine=engine,
            analysed_at=now,
        )
    )


def _lesion_box(geometry: PixelGeometry, box: Box) -> LesionBox:
    x1, y1, x2, y2 = box.xyxy
    corners = corners_mm(geometry, box.xyxy)
    return LesionBox(
        label=box.label,
        score=box.score,
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        corners_mm=None if corners is None else [list(corner) for corner in corners],
    )


def note_left_out(session: Session, study: Study, why: Mapping[str, str]) -> None:
    """Mark the files whose objects (by sha256) are not read in this revision, and those again that are."""
    files = {file.id: file for file in session.scalars(select(ScanFile).where(ScanFile.study_id == study.id))}
    for instance in study.instances:
        file, sentence = files[instance.file_id], why.get(instance.sha256)
        if sentence is not None:
            file.state, file.reason, file.message = FileState.LEFT_OUT, Reason.SERIES_NOT_SELECTED, sentence
        elif file.state == FileState.LEFT_OUT:
            file.state, file.reason, file.message = FileState.READ, None, None


def forget_revision(session: Session, study: Study) -> None:
    """Remove result and report of the current revision before it is read again (late slice, retry)."""
    instances = select(Instance.id).where(Instance.study_id == study.id)
    its_predictions = (Prediction.instance_id.in_(instances), Prediction.revision == study.revision)
    for statement in (
        delete(LesionBox).where(LesionBox.prediction_id.in_(select(Prediction.id).where(*its_predictions))),
        delete(Prediction).where(*its_predictions),
        delete(Result).where(Result.study_id == study.id, Result.revision == study.revision),
        delete(Report).where(Report.study_id == study.id, Report.revision == study.revision),
    ):
        session.execute(statement.execution_options(synchronize_session=False))


def lift_long_waiting(session: Session, now: datetime, max_wait: timedelta) -> None:
    """Give work that has waited too long the rank of urgent work (ageing)."""
    for table, unfinished in ((Study, UNFINISHED_STUDIES), (ScanFile, UNFINISHED_FILES)):
        session.execute(
            update(table)
            .where(table.state.in_(unfinished), table.rank > 0, table.waiting_since < now - max_wait)
            .values(rank=0)
        )


def events_of(session: Session, study: Study) -> list[Event]:
    """What happened to a study and its files, oldest first."""
    file_ids = [file.id for file in study.files]
    wanted = select(Event).where((Event.study_id == study.id) | Event.file_id.in_(file_ids)).order_by(Event.id)
    return list(session.scalars(wanted))


def reported_studies(session: Session) -> list[Study]:
    """Studies whose report is delivered, the newest first, with their results."""
    wanted = select(Study).where(Study.state == StudyState.REPORTED).options(selectinload(Study.results))
    return list(session.scalars(wanted.order_by(Study.received_at.desc(), Study.id.desc())))


def failed_studies(session: Session) -> list[Study]:
    """Studies that were given up."""
    return list(session.scalars(select(Study).where(Study.state == StudyState.FAILED).order_by(Study.id)))
