"""Rendered reports: kept with their study, handed to delivery without anything else of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.store.audit import StudyRow
from worker.store.models import Instance, Report, Study, StudyState


@dataclass(frozen=True)
class RenderedReport:
    """A study, the report of its current revision, and how many images it speaks about."""

    study: Study
    report: Report
    images: int


def is_delivered(study: Study | StudyRow, revision: int) -> bool:
    """Whether the report of a revision is in the outbox: an earlier one always is."""
    return study.state == StudyState.REPORTED or revision < study.revision


def delivered_report(session: Session, study_id: int, revision: int) -> Report | None:
    """The report of a revision that is in the outbox, locked until the transaction ends; `None` before it is there."""
    wanted = select(Report).where(Report.study_id == study_id, Report.revision == revision).with_for_update()
    report = session.scalar(wanted)
    if report is None or not is_delivered(session.get_one(Study, study_id), revision):
        return None
    return report


def add_report(session: Session, study: Study, sha256: str, path: str, thumbnail: bytes | None, now: datetime) -> None:
    """Keep the rendered report of the study's revision."""
    session.add(
        Report(
            study_id=study.id,
            revision=study.revision,
            sha256=sha256,
            path=path,
            thumbnail_jpeg=thumbnail,
            rendered_at=now,
        )
    )


def rendered_reports(session: Session, study_ids: Sequence[int]) -> list[RenderedReport]:
    """What there is to deliver of these studies, in the order given; one that a late slice has reopened is left out."""
    images = select(func.count()).where(Instance.study_id == Study.id).correlate(Study).scalar_subquery()
    wanted = (
        select(Study, Report, images)
        .join(Report, (Report.study_id == Study.id) & (Report.revision == Study.revision))
        .where(Study.id.in_(study_ids), Study.state == StudyState.RENDERED)
    )
    rows = [RenderedReport(study, report, count) for study, report, count in session.execute(wanted)]
    return sorted(rows, key=lambda row: study_ids.index(row.study.id))
