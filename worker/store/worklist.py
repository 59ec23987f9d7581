"""The order in which people should look at studies."""

from sqlalchemy import case, select
from sqlalchemy.orm import Session, selectinload

from worker.domain import Priority
from worker.store.models import Report, Study, StudyState

_ORDER = case(
    (Study.state == StudyState.FAILED, 0),
    (Study.priority == Priority.URGENT, 1),
    (Study.priority == Priority.REVIEW, 2),
    (Study.priority == Priority.ROUTINE, 3),
    else_=4,
)
"""A study that could not be read needs a person first of all; one not read yet comes last."""


def worklist_studies(session: Session, limit: int | None = None, *, thumbnails: bool = False) -> list[Study]:
    """Studies by priority, then longest waiting, with files, results, reports, and thumbnails where asked for."""
    reports = selectinload(Study.reports)
    if thumbnails:
        reports = reports.undefer(Report.thumbnail_jpeg)
    wanted = (
        select(Study)
        .options(selectinload(Study.files), selectinload(Study.results), reports)
        .order_by(_ORDER, Study.received_at, Study.id)
        .limit(limit)
    )
    return list(session.scalars(wanted))
