"""How far a long study is: written by its analysis, read by `status`, nobody else's business."""

import logging
from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import NOON, ClockedServices
from tests.worker.filing import header, receive, seconds
from tests.worker.scans import FakePredictor, dicom, healthy_prediction
from tests.worker.test_steps import Home
from trainer.runtime.records import GreyImage, SlicePrediction
from worker.domain import SliceFinding
from worker.pipeline import ANALYSE, INTAKE
from worker.steps import progress as steps_progress
from worker.steps.progress import followed
from worker.store.claims import Claim, claim_due
from worker.store.models import Study, StudyState
from worker.store.progress import StudyProgress, note_progress, studies_in_progress

Sessions = sessionmaker[Session]
LEASE = seconds(30)
QUIET_SINCE = NOON + seconds(20)


def claim_study(sessions: Sessions) -> Claim:
    """A study of one slice, claimed for analysis once it is quiet."""
    with sessions.begin() as session:
        receive(session, header())
    with sessions.begin() as session:
        claim = claim_due(session, Study, ANALYSE.takes, 1, QUIET_SINCE, LEASE)
    assert claim is not None
    return claim


def note(sessions: Sessions, claim: Claim, token: str | None = None) -> None:
    with sessions.begin() as session:
        note_progress(session, claim.ids[0], token or claim.token, 412, 1000)


def in_progress(sessions: Sessions, at: datetime = QUIET_SINCE) -> list[tuple[int, int]]:
    with sessions.begin() as session:
        return [(row.slices_done, row.slices_total) for row in studies_in_progress(session, at)]


class TestRow:
    def test_it_is_found_while_the_study_is_held(self, sessions: Sessions) -> None:
        claim = claim_study(sessions)
        assert in_progress(sessions) == []
        note(sessions, claim)
        assert in_progress(sessions) == [(412, 1000)]
        assert in_progress(sessions, QUIET_SINCE + LEASE + seconds(1)) == []

    def test_it_touches_neither_lease_nor_state(self, sessions: Sessions) -> None:
        claim = claim_study(sessions)

        def held() -> tuple[object, ...]:
            with sessions.begin() as session:
                row = session.get_one(Study, claim.ids[0])
                return row.state, row.lease_token, row.lease_until, row.attempts, row.not_before, row.rank

        before = held()
        note(sessions, claim)
        assert held() == before

    def test_whoever_lost_the_study_says_nothing(self, sessions: Sessions) -> None:
        claim = claim_study(sessions)
        note(sessions, claim, "somebody else")
        assert in_progress(sessions) == []

    def test_a_late_slice_begins_anew(self, sessions: Sessions) -> None:
        note(sessions, claim_study(sessions))
        with sessions.begin() as session:
            receive(session, header(2), NOON + seconds(22))
        with sessions.begin() as session:
            assert claim_due(session, Study, ANALYSE.takes, 1, NOON + seconds(60), LEASE) is not None
        assert in_progress(sessions, NOON + seconds(61)) == []

    def test_the_longest_waiting_comes_first(self, sessions: Sessions) -> None:
        for number, at in ((1, NOON + seconds(1)), (2, NOON)):
            with sessions.begin() as session:
                study = receive(session, header(study_uid=f"1.2.{number}"), at)
                study.lease_until, study.lease_token = NOON + LEASE, "token"
                study.slices_done, study.slices_total = number, 10
        assert in_progress(sessions, NOON + seconds(2)) == [(2, 10), (1, 10)]


class Watched(FakePredictor):
    """At each batch it takes `seconds` and looks at what the database says of the studies."""

    def __init__(self, services: ClockedServices, seconds: float) -> None:
        super().__init__()
        self.services, self.seconds = services, seconds
        self.seen: list[list[StudyProgress]] = []

    def predict(self, images: Sequence[GreyImage], *_: object, **__: object) -> list[SlicePrediction]:
        with self.services.session.begin() as session:
            self.seen.append(studies_in_progress(session, self.services.now()))
        self.services.wait(self.seconds)
        return super().predict(images)


class TestAnalysis:
    @pytest.fixture
    def home(self, services: ClockedServices) -> Home:
        services.settings.batch_size = 2
        return Home(services)

    def seen(self, home: Home, slices: int, seconds_a_batch: float) -> list[list[tuple[int, int]]]:
        predictor = Watched(home.services, seconds_a_batch)
        home.services.__dict__["predictor"] = predictor
        for number in range(1, slices + 1):
            home.drop(f"{number}.dcm", dicom(7, number))
        home.run_when_quiet()
        assert home.study().state == StudyState.REPORTED
        assert (home.study().slices_done, home.study().slices_total) == (None, None)
        return [[(row.slices_done, row.slices_total) for row in rows] for rows in predictor.seen]

    def test_it_says_after_each_batch_how_many_slices_are_done(self, home: Home) -> None:
        assert self.seen(home, 5, seconds_a_batch=2) == [[(0, 5)], [(2, 5)], [(4, 5)]]

    def test_it_writes_only_every_other_second(self, home: Home) -> None:
        assert self.seen(home, 9, seconds_a_batch=0.8) == [[(0, 9)], [(0, 9)], [(0, 9)], [(6, 9)], [(6, 9)]]

    def test_a_study_of_one_batch_writes_nothing(self, home: Home) -> None:
        assert self.seen(home, 2, seconds_a_batch=60) == [[]]

    def test_a_database_that_is_busy_does_not_stop_the_analysis(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def busy(*_: object) -> None:
            raise OperationalError("UPDATE", None, RuntimeError("database is locked"))

        monkeypatch.setattr(steps_progress, "note_progress", busy)
        with caplog.at_level(logging.WARNING):
            assert self.seen(home, 3, seconds_a_batch=2) == [[], []]
        assert "progress could not be noted: RuntimeError" in caplog.text

    def test_findings_pass_through_as_they_are(self, home: Home) -> None:
        for number in (1, 2, 3):
            home.drop(f"{number}.dcm", dicom(7, number))
        home.visit(INTAKE)
        with home.services.session.begin() as session:
            study = session.scalars(select(Study)).one()
        findings = [SliceFinding(header(number, study.study_uid), healthy_prediction()) for number in (1, 2, 3)]
        studies, claim = {study.study_uid: study}, Claim("token", (study.id,), 1)
        assert list(followed(home.services, claim, studies, {study.study_uid: 3}, findings)) == findings
