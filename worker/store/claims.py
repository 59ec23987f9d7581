"""Taking rows that are due, keeping them, moving them on: the only way work is handed out (docs/architecture.md)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import ColumnElement, CursorResult, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from worker.domain import StudyKind
from worker.store.models import Chore, ScanFile, Study

ClaimableTable = type[ScanFile] | type[Study] | type[Chore]

RETRY_DELAY_SECONDS = 2.0
LONGEST_RETRY_DELAY_SECONDS = 60.0
"""So long a scan waits at most once its trouble is over."""
CLOCK_TOLERANCE = timedelta(minutes=1)
"""By which the clocks of several machines may differ."""
MOST_FORGIVEN = 20
"""Attempts: a scan over which process after process stands still is to blame after all."""
HALF_A_TOKEN = 16
MOST_DOUBLINGS = 10
"""More than the longest delay needs; a power of a thousand attempts would not fit a float."""


@dataclass(frozen=True)
class Claim:
    """Rows this visit holds until `lease_until` passes; `token` proves it at every move."""

    token: str
    ids: tuple[int, ...]
    attempts: int
    crashes: int = 0


def _token(task_id: str | None) -> str:
    """Half of it is this visit's own: a message that a broker delivers twice makes two visits of one task."""
    own = uuid4().hex
    return own if task_id is None else own[:HALF_A_TOKEN] + _task_half(task_id)


def _task_half(task_id: str) -> str:
    return task_id.replace("-", "")[:HALF_A_TOKEN]


def is_due(table: ClaimableTable, state: str, now: datetime) -> ColumnElement[bool]:
    """Rows in `state` whose time has come and which nobody holds."""
    return and_(
        table.state == state,
        table.not_before <= now,
        or_(table.lease_until.is_(None), table.lease_until < now),
    )


def _in_turn(table: ClaimableTable) -> tuple[ColumnElement[Any], ...]:
    """Most urgent first, then longest waiting: the order of a claim, in which steps go through it."""
    return table.rank.expression, table.waiting_since.expression, table.id.expression


def _taken_alone(table: ClaimableTable) -> ColumnElement[bool]:
    tried = table.attempts > 0
    return or_(tried, Study.kind == StudyKind.DICOM) if table is Study else tried


def claim_due(
    session: Session,
    table: ClaimableTable,
    state: str,
    limit: int,
    now: datetime,
    lease: timedelta,
    task_id: str | None = None,
) -> Claim | None:
    """Take up to `limit` due rows, most urgent first, then longest waiting; `None` when nothing is due.

    A row that was tried before is taken alone, so that one poisonous file cannot spend its neighbours' attempts; so is
    a DICOM study, whose slices fill batches of their own and which idle workers should share.
    Postgres skips rows other workers are taking; on SQLite the transaction already holds the write lock.
    By the Celery task's id the parent finds the claim of a child that was killed (`let_go_of_others`).
    """
    due = (
        select(table.id, table.attempts, table.crashes, table.lease_token, _taken_alone(table).label("alone"))
        .where(is_due(table, state, now))
        .order_by(*_in_turn(table))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(due).all()
    if not rows:
        return None
    first = rows[0]
    ids = (first.id,) if first.alone else tuple(row.id for row in rows if not row.alone)
    token = _token(task_id)
    # whoever fails in an orderly way lets go of the row; a token still there was left behind
    died = int(first.lease_token is not None)
    session.execute(
        update(table)
        .where(table.id.in_(ids))
        .values(lease_until=now + lease, lease_token=token, attempts=table.attempts + 1, crashes=table.crashes + died)
        .execution_options(synchronize_session=False)
    )
    if died:
        # steps go through a claim in this order: who came after the row in hand has nothing to do with its crash
        innocent = [row.id for row in rows[1:] if row.lease_token == first.lease_token]
        session.execute(
            update(table)
            .where(table.id.in_(innocent))
            .values(lease_token=None)
            .execution_options(synchronize_session=False)
        )
    return Claim(token, ids, first.attempts + 1, first.crashes + died)


def let_go_of_others(session: Session, table: ClaimableTable, task_id: str) -> int:
    """Free what a killed task held but for the row in hand, which keeps its lease; returns how many.

    Steps go through a claim in its order: the first row left is the one in hand, and the others had no part in it.
    """
    held = (
        select(table.id)
        .where(table.lease_token.endswith(_task_half(task_id)))
        .order_by(*_in_turn(table))
        .with_for_update()
    )
    others = session.scalars(held).all()[1:]
    session.execute(
        update(table)
        .where(table.id.in_(others))
        .values(lease_until=None, lease_token=None)
        .execution_options(synchronize_session=False)
    )
    return len(others)


def renew(session: Session, table: ClaimableTable, claim: Claim, until: datetime) -> None:
    """Hold the rows of a long step a while longer."""
    session.execute(update(table).where(table.lease_token == claim.token).values(lease_until=until))


def forgive_theft(session: Session, table: ClaimableTable, state: str, claim: Claim) -> None:
    """Take back the crash that another visit counted when it found the lease lapsed, since its holder is alive.

    A machine that was suspended or a database that stood still lets leases lapse, and no scan is to blame for that.
    """
    stolen = (table.id.in_(claim.ids), table.state == state, table.lease_token != claim.token)
    forgivable = (table.crashes > 0, table.attempts < MOST_FORGIVEN)
    session.execute(update(table).where(*stolen, *forgivable).values(crashes=table.crashes - 1))


def move(session: Session, table: ClaimableTable, row_id: int, token: str, from_state: str, **values: Any) -> bool:
    """Move a claimed row on and let go of it; False when it is no longer ours, and then nothing of it may be kept."""
    result = session.execute(
        update(table)
        .where(table.id == row_id, table.lease_token == token, table.state == from_state)
        .values(lease_until=None, lease_token=None, attempts=0, crashes=0, **values)
        .execution_options(synchronize_session="fetch")
    )
    return cast("CursorResult[Any]", result).rowcount == 1


def release(
    session: Session, table: ClaimableTable, claim: Claim, row_id: int, now: datetime, *, crashed: bool = False
) -> None:
    """Let go of a row whose step failed for now; it is due again after a delay that doubles with every attempt.

    `crashed` when the row is to blame, as if it had killed the process.
    """
    delay = min(RETRY_DELAY_SECONDS * 2 ** min(claim.attempts - 1, MOST_DOUBLINGS), LONGEST_RETRY_DELAY_SECONDS)
    session.execute(
        update(table)
        .where(table.id == row_id, table.lease_token == claim.token)
        .values(
            lease_until=None,
            lease_token=None,
            not_before=now + timedelta(seconds=delay),
            crashes=table.crashes + int(crashed),
        )
    )


def any_due(session: Session, table: ClaimableTable, state: str, now: datetime) -> bool:
    """Is anything waiting to be taken?"""
    return bool(session.scalar(select(exists().where(is_due(table, state, now)))))


def any_held(session: Session, table: ClaimableTable, state: str, now: datetime) -> bool:
    """Is somebody working on rows of this state?"""
    return bool(session.scalar(select(exists().where(table.state == state, table.lease_until >= now))))


def bring_back_to_now(
    session: Session, table: ClaimableTable, state: str, now: datetime, longest_delay: timedelta, lease: timedelta
) -> None:
    """After the clock was set back: no row in `state` waits longer than it ever may, no dead worker's lease lasts on.

    Args:
        session: the caller commits.
        table: whose rows.
        state: of those rows.
        now: by the clock as it is.
        longest_delay: by which a new row of this state may be put off; a failed one by `LONGEST_RETRY_DELAY_SECONDS`.
        lease: for which a claim is held; whoever still holds the row renews it.
    """
    longest = max(longest_delay, timedelta(seconds=LONGEST_RETRY_DELAY_SECONDS)) + CLOCK_TOLERANCE
    put_off = update(table).where(table.state == state, table.not_before > now + longest)
    session.execute(put_off.values(not_before=now))
    taken = update(table).where(table.state == state, table.lease_until > now + lease + CLOCK_TOLERANCE)
    session.execute(taken.values(lease_until=now + lease))
