"""Upkeep that must not run twice at once. There is one chore: the worklist page."""

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from worker.store.models import Chore, ChoreState
from worker.store.queries import insert_once

WORKLIST_CHORE = "worklist"


def want_worklist(session: Session, now: datetime) -> None:
    """Ask for the worklist page to be written again."""
    insert_once(
        session,
        Chore,
        "name",
        name=WORKLIST_CHORE,
        state=ChoreState.DONE,
        rank=0,
        waiting_since=now,
        not_before=now,
    )
    session.execute(
        update(Chore)
        .where(Chore.name == WORKLIST_CHORE)
        .values(wanted=Chore.wanted + 1, state=ChoreState.DUE)
        .execution_options(synchronize_session=False)
    )


def want_worklist_again(session: Session) -> None:
    """Ask for a page that was there once, unless somebody has asked already."""
    session.execute(
        update(Chore)
        .where(Chore.name == WORKLIST_CHORE, Chore.state == ChoreState.DONE)
        .values(wanted=Chore.wanted + 1, state=ChoreState.DUE)
        .execution_options(synchronize_session=False)
    )


def finish_worklist(session: Session, token: str, seen: int, now: datetime, pause: timedelta) -> None:
    """The page shows everything up to `seen`; it is due again if more was asked for meanwhile, after a pause.

    Whoever comes after its lease has run out may have put an old page over a newer one, so it is due again then too.
    """
    kept = session.execute(
        update(Chore)
        .where(Chore.name == WORKLIST_CHORE, Chore.lease_token == token)
        .values(lease_until=None, lease_token=None, attempts=0, crashes=0, not_before=now + pause)
        .execution_options(synchronize_session=False)
    )
    if cast("CursorResult[Any]", kept).rowcount == 0:
        want_worklist(session, now)
        return
    session.execute(
        update(Chore)
        .where(Chore.name == WORKLIST_CHORE, Chore.wanted == seen)
        .values(state=ChoreState.DONE)
        .execution_options(synchronize_session=False)
    )
