"""Claims on SQLite and on Postgres: order, leases, tokens, delays, and two claimers at once."""

import threading
from datetime import datetime

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import NOON
from tests.worker.filing import add_file, header, receive, seconds
from worker.store.claims import (
    LONGEST_RETRY_DELAY_SECONDS,
    RETRY_DELAY_SECONDS,
    Claim,
    any_due,
    any_held,
    claim_due,
    let_go_of_others,
    move,
    release,
    renew,
)
from worker.store.models import FileState, ScanFile, Study, StudyState
from worker.store.session import session_factory

LEASE = seconds(30)
CLAIMED, READ = FileState.CLAIMED, FileState.READ
Sessions = sessionmaker[Session]


def claim(sessions: Sessions, limit: int = 16, now: datetime = NOON) -> Claim | None:
    with sessions.begin() as session:
        return claim_due(session, ScanFile, CLAIMED, limit, now, LEASE)


def claim_some(sessions: Sessions, limit: int = 16, now: datetime = NOON) -> Claim:
    found = claim(sessions, limit, now)
    assert found is not None
    return found


def add(sessions: Sessions, *moments: datetime, rank: int = 1) -> list[int]:
    with sessions.begin() as session:
        return [add_file(session, at=at, rank=rank).id for at in moments]


def file(sessions: Sessions, file_id: int) -> ScanFile:
    with sessions.begin() as session:
        return session.get_one(ScanFile, file_id)


class TestOrder:
    def test_nothing_due_is_no_claim(self, sessions: Sessions) -> None:
        assert claim(sessions) is None

    def test_lowest_rank_first_then_longest_waiting(self, sessions: Sessions) -> None:
        late, early = add(sessions, NOON - seconds(5), NOON - seconds(50))
        (urgent,) = add(sessions, NOON, rank=0)
        assert [claim_some(sessions, 1).ids for _ in range(3)] == [(urgent,), (early,), (late,)]

    def test_no_more_than_the_limit(self, sessions: Sessions) -> None:
        ids = add(sessions, *[NOON] * 5)
        assert claim_some(sessions, 3).ids == tuple(ids[:3])
        assert claim_some(sessions, 3).ids == tuple(ids[3:])

    def test_what_is_not_due_yet_waits(self, sessions: Sessions) -> None:
        (early,) = add(sessions, NOON + seconds(10))
        assert claim(sessions, now=NOON + seconds(9)) is None
        assert claim_some(sessions, now=NOON + seconds(10)).ids == (early,)

    def test_other_states_are_left_alone(self, sessions: Sessions) -> None:
        (file_id,) = add(sessions, NOON)
        with sessions.begin() as session:
            session.get_one(ScanFile, file_id).state = READ
        assert claim(sessions) is None

    def test_a_dicom_study_is_taken_alone_and_pictures_together(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            first = receive(session, header(1, None), NOON).id
            dicom = receive(session, header(2, "1.2.3"), NOON + seconds(1)).id
            second = receive(session, header(3, None), NOON + seconds(2)).id
        now = NOON + seconds(100)
        found = []
        for _ in range(2):
            with sessions.begin() as session:
                taken = claim_due(session, Study, StudyState.COLLECTING, 16, now, LEASE)
                assert taken is not None
                found.append(set(taken.ids))
        assert found == [{first, second}, {dicom}]


class TestLease:
    def test_a_held_row_is_nobody_elses(self, sessions: Sessions) -> None:
        add(sessions, NOON)
        claim_some(sessions)
        assert claim(sessions, now=NOON + LEASE) is None

    def test_an_expired_lease_is_free_again(self, sessions: Sessions) -> None:
        add(sessions, NOON)
        first = claim_some(sessions)
        second = claim_some(sessions, now=NOON + LEASE + seconds(1))
        assert second.ids == first.ids
        assert second.token != first.token
        assert (first.attempts, second.attempts) == (1, 2)

    def test_renewing_keeps_it(self, sessions: Sessions) -> None:
        add(sessions, NOON)
        held = claim_some(sessions)
        with sessions.begin() as session:
            renew(session, ScanFile, held, NOON + seconds(100))
        assert claim(sessions, now=NOON + seconds(99)) is None
        assert claim(sessions, now=NOON + seconds(101)) is not None

    def test_a_late_worker_renews_nothing(self, sessions: Sessions) -> None:
        (file_id,) = add(sessions, NOON)
        late = claim_some(sessions)
        claim_some(sessions, now=NOON + seconds(31))
        with sessions.begin() as session:
            renew(session, ScanFile, late, NOON + seconds(1000))
        assert file(sessions, file_id).lease_until == NOON + seconds(31) + LEASE

    def test_due_and_held_are_told_apart(self, sessions: Sessions) -> None:
        def due_and_held(now: datetime) -> tuple[bool, bool]:
            with sessions.begin() as session:
                return any_due(session, ScanFile, CLAIMED, now), any_held(session, ScanFile, CLAIMED, now)

        assert due_and_held(NOON) == (False, False)
        add(sessions, NOON)
        assert due_and_held(NOON) == (True, False)
        claim_some(sessions)
        assert due_and_held(NOON) == (False, True)
        assert due_and_held(NOON + LEASE + seconds(1)) == (True, False)


class TestMove:
    def test_moves_on_and_lets_go(self, sessions: Sessions) -> None:
        (file_id,) = add(sessions, NOON)
        held = claim_some(sessions)
        with sessions.begin() as session:
            assert move(session, ScanFile, file_id, held.token, CLAIMED, state=READ, message="fine")
        row = file(sessions, file_id)
        assert (row.state, row.message, row.attempts) == (READ, "fine", 0)
        assert (row.lease_token, row.lease_until) == (None, None)

    def test_a_late_worker_changes_nothing(self, sessions: Sessions) -> None:
        (file_id,) = add(sessions, NOON)
        late = claim_some(sessions)
        prompt = claim_some(sessions, now=NOON + seconds(31))
        with sessions.begin() as session:
            assert not move(session, ScanFile, file_id, late.token, CLAIMED, state=READ, message="too late")
        row = file(sessions, file_id)
        assert (row.state, row.message, row.lease_token, row.attempts) == (CLAIMED, None, prompt.token, 2)

    def test_moves_only_from_the_claimed_state(self, sessions: Sessions) -> None:
        (file_id,) = add(sessions, NOON)
        held = claim_some(sessions)
        with sessions.begin() as session:
            assert not move(session, ScanFile, file_id, held.token, FileState.REJECTING, state=FileState.REJECTED)
        assert file(sessions, file_id).state == CLAIMED

    def test_only_the_named_row_moves(self, sessions: Sessions) -> None:
        first, second = add(sessions, NOON, NOON)
        held = claim_some(sessions)
        with sessions.begin() as session:
            assert move(session, ScanFile, first, held.token, CLAIMED, state=READ)
        assert file(sessions, second).lease_token == held.token


class TestRetry:
    def test_a_tried_row_is_taken_alone(self, sessions: Sessions) -> None:
        ids = add(sessions, *[NOON] * 3)
        assert claim_some(sessions).ids == tuple(ids)
        now = NOON + seconds(31)
        assert [claim_some(sessions, now=now).ids for _ in ids] == [(file_id,) for file_id in ids]

    def test_a_tried_row_does_not_ride_with_fresh_ones(self, sessions: Sessions) -> None:
        (tried,) = add(sessions, NOON, rank=1)
        claim_some(sessions)
        fresh = add(sessions, NOON, NOON, rank=0)
        now = NOON + seconds(31)
        assert claim_some(sessions, now=now).ids == tuple(fresh)
        assert claim_some(sessions, now=now).ids == (tried,)

    def test_the_delay_doubles_with_every_attempt(self, sessions: Sessions) -> None:
        (file_id,) = add(sessions, NOON)
        now, delays = NOON, []
        for _ in range(4):
            held = claim_some(sessions, now=now)
            with sessions.begin() as session:
                release(session, ScanFile, held, file_id, now)
            row = file(sessions, file_id)
            assert row.lease_token is None
            delays.append((row.not_before - now).total_seconds())
            now = row.not_before
        assert delays == [RETRY_DELAY_SECONDS * factor for factor in (1, 2, 4, 8)]

    @pytest.mark.parametrize("attempts", [20, 5000])
    def test_the_delay_has_a_bound_however_often_it_was_tried(self, sessions: Sessions, attempts: int) -> None:
        (file_id,) = add(sessions, NOON)
        held = claim_some(sessions)
        with sessions.begin() as session:
            release(session, ScanFile, Claim(held.token, held.ids, attempts), file_id, NOON)
        assert file(sessions, file_id).not_before == NOON + seconds(LONGEST_RETRY_DELAY_SECONDS)

    def test_a_late_worker_releases_nothing(self, sessions: Sessions) -> None:
        (file_id,) = add(sessions, NOON)
        late = claim_some(sessions)
        prompt = claim_some(sessions, now=NOON + seconds(31))
        with sessions.begin() as session:
            release(session, ScanFile, late, file_id, NOON + seconds(32))
        assert file(sessions, file_id).lease_token == prompt.token


class TestTwoAtOnce:
    def test_no_row_is_taken_twice(self, sessions: Sessions) -> None:
        ids = add(sessions, *[NOON] * 120)
        taken: list[list[int]] = [[], []]
        start = threading.Barrier(2)

        def work(mine: list[int]) -> None:
            start.wait()
            while (found := claim(sessions, 5)) is not None:
                mine += found.ids

        threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken[0] + taken[1]) == ids

    def test_postgres_skips_rows_that_are_being_taken(self, postgres_engine: Engine) -> None:
        sessions = session_factory(postgres_engine)
        ids = add(sessions, *[NOON] * 4)
        with sessions.begin() as session:
            first = claim_due(session, ScanFile, CLAIMED, 2, NOON, LEASE)
            second = claim(sessions, 16)  # the first one has not committed yet
        assert first is not None
        assert second is not None
        assert (first.ids, second.ids) == (tuple(ids[:2]), tuple(ids[2:]))

    def test_sqlite_lets_the_second_wait_until_the_first_has_committed(self, sqlite_engine: Engine) -> None:
        sessions = session_factory(sqlite_engine)
        ids = add(sessions, *[NOON] * 4)
        found: list[Claim | None] = []
        second = threading.Thread(target=lambda: found.append(claim(sessions, 16)))
        with sessions.begin() as session:
            first = claim_due(session, ScanFile, CLAIMED, 2, NOON, LEASE)
            second.start()
            second.join(0.2)
            assert second.is_alive()
        second.join()
        assert first is not None
        assert found[0] is not None
        assert (first.ids, found[0].ids) == (tuple(ids[:2]), tuple(ids[2:]))


class TestLostChildren:
    TASK = "0f8fad5b-d9cb-469f-a165-70867728950e"

    def claim_as_task(self, sessions: Sessions, limit: int = 16) -> Claim:
        with sessions.begin() as session:
            found = claim_due(session, ScanFile, CLAIMED, limit, NOON, LEASE, self.TASK)
        assert found is not None
        return found

    def test_all_but_the_row_in_hand_are_free_and_without_a_crash(self, sessions: Sessions) -> None:
        done, in_hand, *others = add(sessions, *[NOON] * 5)
        lost = self.claim_as_task(sessions)
        with sessions.begin() as session:
            move(session, ScanFile, done, lost.token, CLAIMED, state=READ)
            assert let_go_of_others(session, ScanFile, self.TASK) == len(others)
        taken = [claim_some(sessions) for _ in others]
        assert ([(each.ids, each.crashes) for each in taken], claim(sessions)) == (
            [((row,), 0) for row in others],
            None,
        )
        later = claim_some(sessions, now=NOON + LEASE + seconds(1))
        assert (later.ids, later.crashes) == ((in_hand,), 1)

    def test_other_tasks_keep_theirs(self, sessions: Sessions) -> None:
        add(sessions, *[NOON] * 4)
        claim_some(sessions)
        with sessions.begin() as session:
            assert let_go_of_others(session, ScanFile, self.TASK) == 0
        assert claim(sessions) is None

    def test_one_task_delivered_twice_makes_two_claims(self, sessions: Sessions) -> None:
        add(sessions, NOON, NOON)
        assert self.claim_as_task(sessions, 1).token != self.claim_as_task(sessions, 1).token
