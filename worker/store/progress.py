"""Does work get done? Since when rows are due, and when something last happened."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.store.claims import ClaimableTable, is_due
from worker.store.models import Event, ScanFile, Study, StudyState
from worker.store.queries import FINAL_FILE_STATES


def due_since(session: Session, table: ClaimableTable, state: str, now: datetime) -> datetime | None:
    """Since when the longest due row of `state` could have been taken, `None` when none is due."""
    return session.scalar(select(func.min(table.not_before)).where(is_due(table, state, now)))


def last_event(session: Session, kinds: Sequence[str]) -> datetime | None:
    """When an event of one of these kinds was last recorded."""
    return session.scalar(select(func.max(Event.at)).where(Event.kind.in_(kinds)))


def oldest_waiting(session: Session) -> datetime | None:
    """Since when the longest waiting unfinished file or study waits."""
    waiting = [
        session.scalar(
            select(func.min(Study.waiting_since)).where(Study.state.not_in((StudyState.REPORTED, StudyState.FAILED)))
        ),
        session.scalar(select(func.min(ScanFile.waiting_since)).where(ScanFile.state.not_in(FINAL_FILE_STATES))),
    ]
    return min((moment for moment in waiting if moment is not None), default=None)
