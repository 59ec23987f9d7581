"""Does work get done? How much is where, since when rows are due, how far long studies are, what happened last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from worker.store.claims import ClaimableTable, is_due
from worker.store.models import UNFINISHED_FILES, UNFINISHED_STUDIES, Event, ScanFile, Study, StudyState


def count_by_state(session: Session, table: type[ScanFile] | type[Study]) -> dict[str, int]:
    """Rows of a table by state."""
    counted = session.execute(select(table.state, func.count()).group_by(table.state))
    return {row[0]: row[1] for row in counted}


def due_since(session: Session, table: ClaimableTable, state: str, now: datetime) -> datetime | None:
    """Since when the longest due row of `state` could have been taken, `None` when none is due."""
    return session.scalar(select(func.min(table.not_before)).where(is_due(table, state, now)))


def last_event(session: Session, kinds: Sequence[str]) -> datetime | None:
    """When an event of one of these kinds was last recorded."""
    # one question a kind: each is a single step into the index, while IN walks over all events of these kinds
    moments = [session.scalar(select(func.max(Event.at)).where(Event.kind == kind)) for kind in kinds]
    return max((moment for moment in moments if moment is not None), default=None)


def oldest_waiting(session: Session) -> datetime | None:
    """Since when the longest waiting unfinished file or study waits."""
    waiting = [
        session.scalar(select(func.min(Study.waiting_since)).where(Study.state.in_(UNFINISHED_STUDIES))),
        session.scalar(select(func.min(ScanFile.waiting_since)).where(ScanFile.state.in_(UNFINISHED_FILES))),
    ]
    return min((moment for moment in waiting if moment is not None), default=None)


@dataclass(frozen=True)
class StudyProgress:
    """How far the analysis of a long study is; field names are those of the JSON contract."""

    study: str
    slices_done: int
    slices_total: int


def note_progress(session: Session, study_id: int, token: str, done: int, total: int) -> None:
    """Say how many slices are done, unless the study is no longer held by `token`."""
    session.execute(
        update(Study)
        .where(Study.id == study_id, Study.lease_token == token)
        .values(slices_done=done, slices_total=total)
        .execution_options(synchronize_session=False)
    )


def studies_in_progress(session: Session, now: datetime) -> list[StudyProgress]:
    """Long studies that are being analysed now, the longest waiting first."""
    held = (Study.state == StudyState.COLLECTING, Study.lease_until >= now, Study.slices_total.is_not(None))
    wanted = select(Study.public_id, Study.slices_done, Study.slices_total).where(*held)
    rows = session.execute(wanted.order_by(Study.waiting_since, Study.id))
    return [StudyProgress(study, done or 0, total or 0) for study, done, total in rows]
