"""Rows of finished work that is old: which those are, and how they go. Their events stay, and one more is recorded.

Nothing that waits, is in work or has failed is ever named here. Each row is locked and judged again before it goes, so
a worker may run meanwhile: whoever files a slice or a duplicate at the same moment either keeps the study, or finds it
gone and makes it anew. Rows go first: what they named, and nothing names any more, is waste that `worker.verify`
finds, and so does the next purge when this one is cut short.
"""

from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, CursorResult, Delete, and_, delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from worker.store.chores import want_worklist
from worker.store.models import (
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
from worker.store.queries import record

PURGED = "purged"
"""Kind of the event. Of a study its detail begins with the public id; of a file `file_id` says which it was."""


def old_studies(session: Session, before: datetime) -> list[int]:
    """Row ids of studies that were reported before that, and none of whose files came since."""
    return list(session.scalars(select(Study.id).where(_is_old_study(before)).order_by(Study.id)))


def old_archives(session: Session, before: datetime) -> list[int]:
    """Row ids of unpacked archives that came before that and of which nothing but rejected members is left."""
    return list(session.scalars(select(ScanFile.id).where(_is_old_archive(before)).order_by(ScanFile.id.desc())))


def old_rejected(session: Session, before: datetime) -> list[int]:
    """Row ids of rejected files that came before that and were given back."""
    return list(session.scalars(select(ScanFile.id).where(_is_old_rejected(before)).order_by(ScanFile.id.desc())))


def _is_old_study(before: datetime) -> ColumnElement[bool]:
    came_since = exists().where(ScanFile.study_id == Study.id, ScanFile.received_at >= before)
    return and_(Study.state == StudyState.REPORTED, Study.reported_at < before, ~came_since)


def _was_unpacked(before: datetime) -> ColumnElement[bool]:
    return and_(
        ScanFile.state == FileState.READ,
        ScanFile.study_id.is_(None),
        ScanFile.received_at < before,
        exists().where(Event.file_id == ScanFile.id, Event.kind == "unpacked"),
    )


def _is_old_archive(before: datetime) -> ColumnElement[bool]:
    member = aliased(ScanFile)
    kept = exists().where(member.archive_id == ScanFile.id, member.state != FileState.REJECTED)
    return and_(_was_unpacked(before), ~kept)


def _is_old_rejected(before: datetime) -> ColumnElement[bool]:
    member = aliased(ScanFile)
    has_members = exists().where(member.archive_id == ScanFile.id)
    return and_(ScanFile.state == FileState.REJECTED, ScanFile.received_at < before, ~has_members)


def forget_study(session: Session, study_id: int, before: datetime, now: datetime) -> bool:
    """Remove a study with everything that hangs on it, unless it is not old any more."""
    # whoever files something into it has locked it, or waits here; only then is it judged
    session.scalar(select(Study.id).where(Study.id == study_id).with_for_update())
    study = session.scalar(select(Study).where(Study.id == study_id, _is_old_study(before)))
    if study is None:
        return False
    instances = select(Instance.id).where(Instance.study_id == study_id)
    predictions = select(Prediction.id).where(Prediction.instance_id.in_(instances))
    _delete(session, delete(LesionBox).where(LesionBox.prediction_id.in_(predictions)))
    _delete(session, delete(Prediction).where(Prediction.instance_id.in_(instances)))
    _delete(session, delete(Result).where(Result.study_id == study_id))
    reports = _delete(session, delete(Report).where(Report.study_id == study_id))
    images = _delete(session, delete(Instance).where(Instance.study_id == study_id))
    _delete(session, delete(Series).where(Series.study_id == study_id))
    files = _delete(session, delete(ScanFile).where(ScanFile.study_id == study_id))
    _delete(session, delete(Study).where(Study.id == study_id))
    detail = f"{study.public_id}: {files} files, {images} images, {reports} reports"
    record(session, PURGED, now, study_id, detail=detail)
    want_worklist(session, now)
    return True


def forget_archive(session: Session, file_id: int, before: datetime, now: datetime) -> bool:
    """Remove the row of an archive; rejected members, which have bytes of their own, stay without it."""
    return _forget_file(session, file_id, _is_old_archive(before), now, "archive")


def forget_rejected(session: Session, file_id: int, before: datetime, now: datetime) -> bool:
    """Remove the row of a rejected file."""
    return _forget_file(session, file_id, _is_old_rejected(before), now, "rejected")


def _forget_file(session: Session, file_id: int, is_old: ColumnElement[bool], now: datetime, what: str) -> bool:
    session.scalar(select(ScanFile.id).where(ScanFile.id == file_id).with_for_update())
    if session.scalar(select(ScanFile.id).where(ScanFile.id == file_id, is_old)) is None:
        return False
    left = update(ScanFile).where(ScanFile.archive_id == file_id).values(archive_id=None)
    session.execute(left.execution_options(synchronize_session=False))
    _delete(session, delete(ScanFile).where(ScanFile.id == file_id))
    record(session, PURGED, now, file_id=file_id, detail=what)
    return True


def _delete(session: Session, statement: Delete) -> int:
    done = session.execute(statement.execution_options(synchronize_session=False))
    return cast("CursorResult[object]", done).rowcount


def overwrite_what_is_deleted(session: Session) -> None:
    """On SQLite a deleted name stays in the file until its place is used again, unless it is overwritten."""
    if session.get_bind().dialect.name == "sqlite":
        session.connection().exec_driver_sql("PRAGMA secure_delete = ON")


def purged_studies(session: Session) -> frozenset[str]:
    """Public ids of all studies that were ever purged."""
    wanted = select(Event.detail).where(Event.kind == PURGED, Event.study_id.is_not(None))
    return frozenset((detail or "").partition(":")[0] for detail in session.scalars(wanted))


def purged_files(session: Session) -> frozenset[int]:
    """Row ids of all rejected files and archives that were ever purged."""
    wanted = select(Event.file_id).where(Event.kind == PURGED, Event.file_id.is_not(None))
    return frozenset(file_id for file_id in session.scalars(wanted) if file_id is not None)
