"""The order in which people should look at studies."""

from itertools import groupby

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session, selectinload

from reports.content import WorklistTotals
from worker.domain import Priority
from worker.store.models import UNFINISHED_STUDIES, Report, ScanFile, Study, StudyState

_GROUPS = 5
_ORDER = case(
    (Study.state == StudyState.FAILED, 0),
    (Study.priority == Priority.URGENT, 1),
    (Study.priority == Priority.REVIEW, 2),
    (Study.priority == Priority.ROUTINE, 3),
    else_=4,
)
"""A study that could not be read needs a person first of all; one not read yet comes last."""


def worklist_studies(session: Session, limit: int | None = None, *, thumbnails: bool = False) -> list[Study]:
    """Studies by priority, then longest waiting, with results, reports, and thumbnails where asked for.

    Where there are more than `limit`, old finished ones are left out: see `_kept`.
    """
    reports = selectinload(Study.reports)
    if thumbnails:
        reports = reports.undefer(Report.thumbnail_jpeg)
    wanted = select(Study).options(selectinload(Study.results), reports).order_by(_ORDER, Study.received_at, Study.id)
    if limit is not None:
        wanted = wanted.where(Study.id.in_(_kept(limit)))
    return list(session.scalars(wanted))


def file_names(session: Session, limit: int | None = None) -> dict[int, tuple[str, ...]]:
    """Original names of the files of these studies, by row id of the study.

    Names alone: rows of whole files, a thousand a study, would take a gigabyte for one page.
    """
    wanted = select(ScanFile.study_id, ScanFile.original_name).order_by(ScanFile.study_id, ScanFile.id)
    wanted = wanted.where(ScanFile.study_id.is_not(None) if limit is None else ScanFile.study_id.in_(_kept(limit)))
    by_study = groupby(session.execute(wanted), key=lambda row: row.study_id)
    return {study_id: tuple(row.original_name for row in rows) for study_id, rows in by_study}


def _kept(limit: int) -> Select[tuple[int]]:
    """Ids of the studies to show: unfinished before finished, then urgent first, then newest.

    An equal share of the page is kept for each group, so that no number of old urgent studies hides the newest others.
    """
    finished = case((Study.state.in_(UNFINISHED_STUDIES), 0), else_=1)
    place = func.row_number().over(partition_by=_ORDER, order_by=(finished, Study.received_at.desc(), Study.id.desc()))
    ranked = select(
        Study.id, _ORDER.label("priority_group"), finished.label("finished"), place.label("place")
    ).subquery()
    beyond_share = case((ranked.c.place <= limit // _GROUPS, 0), else_=1)
    return (
        select(ranked.c.id)
        .order_by(beyond_share, ranked.c.finished, ranked.c.priority_group, ranked.c.place)
        .limit(limit)
    )


def worklist_totals(session: Session) -> WorklistTotals:
    """All studies, shown or not."""
    failed = Study.state == StudyState.FAILED
    counted = session.execute(select(Study.priority, failed, func.count()).group_by(Study.priority, failed)).all()

    def number(*priorities: str | None, failures: tuple[bool, ...] = (False, True)) -> int:
        return sum(count for priority, fail, count in counted if priority in priorities and bool(fail) in failures)

    everything: tuple[str | None, ...] = (*Priority, None)
    return WorklistTotals(
        studies=number(*everything),
        urgent=number(Priority.URGENT),
        review=number(Priority.REVIEW),
        routine=number(Priority.ROUTINE),
        waiting=number(None, failures=(False,)),
        failed=number(*everything, failures=(True,)),
    )
