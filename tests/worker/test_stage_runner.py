"""One visit to a stage: what becomes of the rows when the step does well, fails for now, is a bug, never succeeds."""

import logging
from contextlib import suppress

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.worker.conftest import ClockedServices
from tests.worker.filing import add_file, header, receive, seconds
from trainer.runtime.bundle import ModelFolderError
from worker import stage_runner
from worker.errors import Reason, TransientError
from worker.pipeline import ANALYSE, DELIVER, INTAKE, REJECT, REPORT, STAGES, WORKLIST, Stage
from worker.services import Services
from worker.stage_runner import STEPS, Step, run_stage
from worker.steps import give_up
from worker.store.chores import want_worklist
from worker.store.claims import Claim, move
from worker.store.models import Chore, ChoreState, Event, FileState, ScanFile, Study, StudyState
from worker.store.objects import ObjectStore
from worker.store.session import open_engine, session_factory


class Visits:
    """Runs stages with a step of the test's, and remembers which stages were rung."""

    def __init__(self, services: ClockedServices, monkeypatch: pytest.MonkeyPatch) -> None:
        self.services = services
        self.rung: list[str] = []
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(ObjectStore, "has_lost", lambda *_: False)  # the sums of these rows are made up

    def step(self, stage: Stage, step: Step) -> None:
        self._monkeypatch.setitem(STEPS, stage.name, step)

    def run(self, stage: Stage) -> int:
        return run_stage(stage, self.services, lambda rung: self.rung.append(rung.name))

    def add_files(self, count: int = 1, *, stored: bool = True) -> list[int]:
        with self.services.session.begin() as session:
            files = [add_file(session, at=self.services.now()) for _ in range(count)]
            for file in files:
                file.sha256 = "a" * 64 if stored else None
        return [file.id for file in files]

    def add_study(self, state: str) -> int:
        with self.services.session.begin() as session:
            study = receive(session, header(1, None), self.services.now())
            study.state = state
        return study.id

    def get(self, table: type, row_id: int):
        with self.services.session.begin() as session:
            return session.get_one(table, row_id)

    def events(self) -> list[str]:
        with self.services.session.begin() as session:
            return list(session.scalars(select(Event.kind)))


@pytest.fixture
def visits(services: ClockedServices, monkeypatch: pytest.MonkeyPatch) -> Visits:
    return Visits(services, monkeypatch)


def read_all(services: Services, claim: Claim) -> None:
    with services.session.begin() as session:
        for row_id in claim.ids:
            move(session, ScanFile, row_id, claim.token, INTAKE.takes, state=FileState.READ)


def crash(_services: Services, _claim: Claim) -> None:
    """A step with a bug."""
    raise RuntimeError("a bug")


def fail_for_now(_services: Services, _claim: Claim) -> None:
    raise TransientError("the disk is away")


def find_no_model(_services: Services, _claim: Claim) -> None:
    raise ModelFolderError("models/x is no model folder: model.json is missing.")


def lose_the_database(_services: Services, _claim: Claim) -> None:
    raise OperationalError("SELECT 'Anna Test'", {}, ConnectionError("gone"))


def fail_by_a_bug(_services: Services, _claim: Claim) -> None:
    raise RuntimeError("a bug")


class TestRinging:
    def test_nothing_due_rings_nobody(self, visits: Visits) -> None:
        assert visits.run(INTAKE) == 0
        assert visits.rung == []

    def test_the_next_stages_are_rung_after_the_step(self, visits: Visits) -> None:
        rung_before: list[list[str]] = []

        def step(services: Services, claim: Claim) -> None:
            rung_before.append(list(visits.rung))
            read_all(services, claim)

        visits.add_files(3)
        visits.step(INTAKE, step)
        assert visits.run(INTAKE) == 3
        assert (rung_before, visits.rung) == ([[]], ["analyse", "reject"])

    def test_the_own_stage_is_rung_before_the_step_while_more_is_due(self, visits: Visits) -> None:
        visits.services.settings.claim_size = 2
        visits.add_files(3)
        rung_before: list[list[str]] = []
        visits.step(INTAKE, lambda *_: rung_before.append(list(visits.rung)))
        assert visits.run(INTAKE) == 2
        assert rung_before == [["intake"]]

    def test_every_stage_has_a_step_and_rings_only_stages(self) -> None:
        assert STEPS.keys() == STAGES.keys()
        assert {name for stage in STAGES.values() for name in stage.rings} <= STAGES.keys()


class TestFailure:
    @pytest.mark.parametrize("step", [fail_for_now, lose_the_database, find_no_model])
    def test_what_may_pass_is_released_for_later(
        self, visits: Visits, caplog: pytest.LogCaptureFixture, step: Step
    ) -> None:
        ids = visits.add_files(2)
        visits.step(INTAKE, step)
        with caplog.at_level(logging.WARNING):
            visits.run(INTAKE)
        for file_id in ids:
            row = visits.get(ScanFile, file_id)
            assert (row.state, row.lease_token, row.attempts) == (FileState.CLAIMED, None, 1)
            assert row.not_before == visits.services.now() + seconds(2)
        assert "tried again later" in caplog.text
        assert "Anna" not in caplog.text

    def test_rows_that_were_finished_before_the_trouble_stay_finished(self, visits: Visits) -> None:
        first, second = visits.add_files(2)

        def step(services: Services, claim: Claim) -> None:
            read_all(services, Claim(claim.token, (first,), 1))
            fail_for_now(services, claim)

        visits.step(INTAKE, step)
        visits.run(INTAKE)
        assert [visits.get(ScanFile, row_id).state for row_id in (first, second)] == [FileState.READ, FileState.CLAIMED]
        assert visits.get(ScanFile, first).attempts == 0

    def test_a_database_that_is_away_costs_a_line_of_the_log(
        self, visits: Visits, caplog: pytest.LogCaptureFixture
    ) -> None:
        away = Services(visits.services.settings.model_copy(update={"database_url": "sqlite:////nowhere/at/all.db"}))
        with caplog.at_level(logging.WARNING):
            assert run_stage(INTAKE, away, lambda _: None) == 0
        assert caplog.messages == ["intake: the database does not answer (OperationalError)"]

    def test_rows_are_let_go_of_once_the_database_answers_again(
        self, visits: Visits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (file_id,) = visits.add_files()
        there = visits.services.session

        def lose_the_database_for_a_while(services: Services, _claim: Claim) -> None:
            services.__dict__["session"] = session_factory(open_engine("sqlite:////nowhere/at/all.db"))
            raise TransientError("the disk is away")

        def sleep(_seconds: float) -> None:
            visits.services.__dict__["session"] = there

        monkeypatch.setattr(stage_runner.time, "sleep", sleep)
        visits.step(INTAKE, lose_the_database_for_a_while)
        visits.run(INTAKE)
        assert visits.get(ScanFile, file_id).lease_token is None

    def test_a_bug_is_raised_and_the_row_stays_leased(self, visits: Visits) -> None:
        (file_id,) = visits.add_files()
        visits.step(INTAKE, fail_by_a_bug)
        with pytest.raises(RuntimeError, match="a bug"):
            visits.run(INTAKE)
        row = visits.get(ScanFile, file_id)
        assert row.lease_token is not None
        assert visits.run(INTAKE) == 0
        visits.services.wait(visits.services.settings.lease_seconds + 1)
        visits.step(INTAKE, read_all)
        assert visits.run(INTAKE) == 1
        assert visits.get(ScanFile, file_id).state == FileState.READ

    @pytest.mark.parametrize("most", [1, 3])
    def test_one_poisonous_file_costs_its_neighbours_nothing(self, visits: Visits, most: int) -> None:
        visits.services.settings.max_attempts = most
        before, poison, after = visits.add_files(3)

        def step(services: Services, claim: Claim) -> None:
            for row_id in claim.ids:
                if row_id == poison:
                    raise RuntimeError("the process dies")
                read_all(services, Claim(claim.token, (row_id,), 1))

        visits.step(INTAKE, step)
        died, blamed = 0, set()
        for _ in range(20):
            try:
                visits.run(INTAKE)
            except RuntimeError:
                died += 1
            blamed.add(visits.get(ScanFile, after).crashes)
            visits.services.wait(31)
        assert blamed == {0}
        assert died == max(most, 2)  # the first time was not alone
        states = [visits.get(ScanFile, row_id).state for row_id in (before, poison, after)]
        assert states == [FileState.READ, FileState.REJECTING, FileState.READ]


class TestGivingUp:
    def exhaust(self, visits: Visits, stage: Stage, step: Step) -> None:
        """Visit as often as crashes are borne, and once more."""
        visits.step(stage, step)
        for _ in range(visits.services.settings.max_attempts + 1):
            with suppress(RuntimeError):
                assert visits.run(stage) == 1
            visits.services.wait(1000)

    @pytest.mark.parametrize("stage", [INTAKE, ANALYSE, REPORT])
    def test_what_failed_in_an_orderly_way_is_tried_for_ever(self, visits: Visits, stage: Stage) -> None:
        row_id = visits.add_files()[0] if stage is INTAKE else visits.add_study(stage.takes)
        for _ in range(3):
            self.exhaust(visits, stage, fail_for_now)
        row = visits.get(stage.table, row_id)
        assert (row.state, row.lease_token, row.crashes) == (stage.takes, None, 0)
        assert visits.events() == []

    def test_a_stored_file_is_rejected_with_a_reason(self, visits: Visits) -> None:
        (file_id,) = visits.add_files()
        tries: list[int] = []

        def step(_services: Services, claim: Claim) -> None:
            tries.append(claim.attempts)
            raise RuntimeError("a bug")

        self.exhaust(visits, INTAKE, step)
        row = visits.get(ScanFile, file_id)
        assert (row.state, row.reason, row.attempts) == (FileState.REJECTING, Reason.TIMEOUT, 0)
        assert "3 attempts" in row.message
        assert tries == [1, 2, 3]
        assert visits.events() == ["given_up"]

    def test_a_file_the_disk_has_no_room_for_is_tried_for_ever(self, visits: Visits) -> None:
        (file_id,) = visits.add_files(stored=False)
        self.exhaust(visits, INTAKE, fail_for_now)
        row = visits.get(ScanFile, file_id)
        assert (row.state, row.lease_token, row.attempts) == (FileState.CLAIMED, None, 4)
        assert visits.events() == []
        visits.step(INTAKE, read_all)
        visits.run(INTAKE)
        assert visits.get(ScanFile, file_id).state == FileState.READ

    @pytest.mark.parametrize("stage", [ANALYSE, REPORT])
    def test_a_study_fails_and_stands_on_the_worklist(self, visits: Visits, stage: Stage) -> None:
        study_id = visits.add_study(stage.takes)
        self.exhaust(visits, stage, crash)
        row = visits.get(Study, study_id)
        assert (row.state, row.lease_token) == (StudyState.FAILED, None)
        assert stage.name in row.failure
        assert visits.events() == ["failed"]
        with visits.services.session.begin() as session:
            assert session.scalars(select(Chore.state)).one() == ChoreState.DUE

    @pytest.mark.parametrize("stage", [DELIVER, REJECT, WORKLIST])
    def test_delivery_and_upkeep_are_tried_for_ever(self, visits: Visits, stage: Stage) -> None:
        if stage is DELIVER:
            row_id = visits.add_study(DELIVER.takes)
        elif stage is REJECT:
            (row_id,) = visits.add_files()
            with visits.services.session.begin() as session:
                session.get_one(ScanFile, row_id).state = REJECT.takes
        else:
            with visits.services.session.begin() as session:
                want_worklist(session, visits.services.now())
                row_id = session.scalars(select(Chore.id)).one()
        tries: list[int] = []

        def step(services: Services, claim: Claim) -> None:
            tries.append(claim.attempts)
            fail_for_now(services, claim)

        self.exhaust(visits, stage, step)
        row = visits.get(stage.table, row_id)
        assert (row.state, row.lease_token) == (stage.takes, None)
        assert tries == [1, 2, 3, 4]

    def test_a_study_reopened_at_the_last_moment_is_not_failed(
        self, visits: Visits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        study_id = visits.add_study(ANALYSE.takes)
        visits.services.settings.max_attempts = 2
        visits.step(ANALYSE, crash)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                visits.run(ANALYSE)
            visits.services.wait(1000)
        real_give_up = give_up.give_up

        def reopened_first(services: Services, stage: Stage, claim: Claim) -> bool:
            with services.session.begin() as session:
                receive(session, header(2, header(1, None).study_uid), services.now())
            return real_give_up(services, stage, claim)

        monkeypatch.setattr(give_up, "give_up", reopened_first)
        visits.run(ANALYSE)
        row = visits.get(Study, study_id)
        assert (row.state, row.failure) == (StudyState.COLLECTING, None)
        assert visits.events() == []
