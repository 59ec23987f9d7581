"""The worklist chore: no wish for a newer page is ever lost."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import NOON
from tests.worker.filing import seconds
from worker.store.chores import finish_worklist, want_worklist
from worker.store.claims import Claim, claim_due
from worker.store.models import Chore, ChoreState

Sessions = sessionmaker[Session]
LEASE, PAUSE = seconds(30), seconds(1)


def want(sessions: Sessions) -> None:
    with sessions.begin() as session:
        want_worklist(session, NOON)


def take(sessions: Sessions, now=NOON) -> tuple[Claim, int] | None:
    """The claim, and how many wishes there were when the page was made."""
    with sessions.begin() as session:
        claim = claim_due(session, Chore, ChoreState.DUE, 1, now, LEASE)
        return None if claim is None else (claim, session.get_one(Chore, claim.ids[0]).wanted)


def finish(sessions: Sessions, taken: tuple[Claim, int], now=NOON) -> None:
    with sessions.begin() as session:
        finish_worklist(session, taken[0].token, taken[1], now, PAUSE)


def chore(sessions: Sessions) -> Chore:
    with sessions.begin() as session:
        return session.scalars(select(Chore)).one()


@pytest.fixture
def taken(sessions: Sessions) -> tuple[Claim, int]:
    """Wanted once, and being written."""
    want(sessions)
    taken = take(sessions)
    assert taken is not None
    return taken


def test_many_wishes_are_one_chore(sessions: Sessions) -> None:
    for _ in range(3):
        want(sessions)
    assert (chore(sessions).wanted, chore(sessions).state) == (3, ChoreState.DUE)


def test_done_when_nothing_came_meanwhile(sessions: Sessions, taken: tuple[Claim, int]) -> None:
    finish(sessions, taken)
    row = chore(sessions)
    assert (row.state, row.lease_token, row.attempts) == (ChoreState.DONE, None, 0)
    assert take(sessions, NOON + seconds(100)) is None


def test_a_wish_during_the_writing_is_due_after_the_pause(sessions: Sessions, taken: tuple[Claim, int]) -> None:
    want(sessions)
    assert take(sessions) is None, "two writers at once"
    finish(sessions, taken)
    assert take(sessions) is None, "sooner than once a second"
    again = take(sessions, NOON + PAUSE)
    assert again is not None
    finish(sessions, again, NOON + PAUSE)
    assert chore(sessions).state == ChoreState.DONE


def test_a_wish_after_it_was_done_is_due_again(sessions: Sessions, taken: tuple[Claim, int]) -> None:
    finish(sessions, taken)
    want(sessions)
    assert take(sessions, NOON + PAUSE) is not None


def test_a_late_writer_does_not_take_the_lease_of_the_next(sessions: Sessions, taken: tuple[Claim, int]) -> None:
    next_one = take(sessions, NOON + seconds(31))
    assert next_one is not None
    finish(sessions, taken, NOON + seconds(32))
    assert chore(sessions).lease_token == next_one[0].token


def test_a_late_writer_may_have_put_back_an_old_page_so_it_is_written_again(
    sessions: Sessions, taken: tuple[Claim, int]
) -> None:
    want(sessions)
    next_one = take(sessions, NOON + seconds(31))
    assert next_one is not None
    finish(sessions, next_one, NOON + seconds(31))
    finish(sessions, taken, NOON + seconds(40))
    assert take(sessions, NOON + seconds(41)) is not None
