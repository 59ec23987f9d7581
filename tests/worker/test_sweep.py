"""The safety net: rings what is due while nobody is at it."""

import logging
from itertools import pairwise
from types import SimpleNamespace

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.filing import add_file, header, receive, seconds
from worker import sweep as module
from worker.pipeline import INTAKE, WORKLIST
from worker.services import Services
from worker.settings import Settings
from worker.stage_runner import run_stage
from worker.store.chores import want_worklist
from worker.store.claims import claim_due
from worker.store.models import Chore, ScanFile, Study
from worker.sweep import Sweep, SweepStep


class Sweeping:
    """A sweep, what it rang, and a stopwatch that tests move."""

    def __init__(self, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stopwatch = 1000.0
        self.rung: list[str] = []
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.stopwatch))
        self._sweep = Sweep(services, lambda stage: self.rung.append(stage.name))

    def run(self) -> list[str]:
        """What one sweep rings."""
        self.rung.clear()
        self._sweep.run()
        return list(self.rung)


@pytest.fixture
def sweeping(services: ClockedServices, monkeypatch: pytest.MonkeyPatch) -> Sweeping:
    return Sweeping(services, monkeypatch)


@pytest.fixture
def due_file(services: ClockedServices) -> int:
    with services.session.begin() as session:
        return add_file(session, at=services.now()).id


def take(services: ClockedServices, limit: int = 1) -> None:
    with services.session.begin() as session:
        claim_due(session, ScanFile, INTAKE.takes, limit, services.now(), services.lease)


def test_nothing_due_rings_nothing(sweeping: Sweeping) -> None:
    assert sweeping.run() == []


@pytest.mark.usefixtures("due_file")
def test_rings_only_the_stage_that_has_due_work(sweeping: Sweeping) -> None:
    assert sweeping.run() == ["intake"]


@pytest.mark.usefixtures("due_file")
def test_rings_ever_less_often_while_nobody_comes(sweeping: Sweeping, services: ClockedServices) -> None:
    step = services.settings.sweep_seconds
    rung_at = []
    for sweep in range(100):
        if sweeping.run():
            rung_at.append(sweep)
        sweeping.stopwatch += step
    pauses = [later - earlier for earlier, later in pairwise(rung_at)]
    longest = services.settings.lease_seconds / step
    assert rung_at[0] == 0
    assert pauses == sorted(pauses)
    assert pauses[:3] == [1, 3, 7]
    assert max(pauses) == longest
    assert sum(rung < 50 for rung in rung_at) < 10


@pytest.mark.usefixtures("due_file")
def test_a_stage_that_was_answered_is_rung_at_once_the_next_time(sweeping: Sweeping, services: ClockedServices) -> None:
    assert sweeping.run() == ["intake"]
    take(services)
    assert sweeping.run() == []
    services.wait(services.settings.lease_seconds + 1)
    assert sweeping.run() == ["intake"]


@pytest.mark.usefixtures("due_file")
def test_work_that_is_held_is_not_rung(sweeping: Sweeping, services: ClockedServices) -> None:
    take(services)
    assert sweeping.run() == []


@pytest.mark.usefixtures("due_file")
def test_an_expired_lease_is_rung(sweeping: Sweeping, services: ClockedServices) -> None:
    take(services)
    services.wait(services.settings.lease_seconds + 1)
    assert sweeping.run() == ["intake"]


def test_a_quiet_period_that_ends_is_rung(sweeping: Sweeping, services: ClockedServices) -> None:
    with services.session.begin() as session:
        receive(session, header(1), services.now())
    services.wait(19)
    assert sweeping.run() == []
    services.wait(1)
    assert sweeping.run() == ["analyse"]


@pytest.mark.usefixtures("due_file")
def test_due_work_beside_held_work_is_rung_once_a_lease(sweeping: Sweeping, services: ClockedServices) -> None:
    with services.session.begin() as session:
        add_file(session, at=services.now())
    take(services)
    assert sweeping.run() == [], "whoever is at it has rung itself"
    sweeping.stopwatch += services.settings.lease_seconds + 1
    assert sweeping.run() == ["intake"], "but that bell may have been lost"
    assert sweeping.run() == []
    sweeping.stopwatch += services.settings.lease_seconds + 1
    assert sweeping.run() == ["intake"]


def test_a_worklist_page_that_somebody_removed_is_asked_for_once(sweeping: Sweeping, services: ClockedServices) -> None:
    page = services.settings.outbox / "index.html"
    assert sweeping.run() == [], "there was never one"
    with services.session.begin() as session:
        want_worklist(session, services.now())
    assert sweeping.run() == ["worklist"]
    run_stage(WORKLIST, services, lambda _: None)
    assert sweeping.run() == []
    page.unlink()
    services.wait(2)
    assert sweeping.run() == ["worklist"]
    assert sweeping.run() == [], "nobody has answered yet"
    run_stage(WORKLIST, services, lambda _: None)
    assert page.is_file()
    with services.session.begin() as session:
        assert session.query(Chore).one().wanted == 2


def test_lifts_what_has_waited_too_long(sweeping: Sweeping, services: ClockedServices) -> None:
    with services.session.begin() as session:
        study_id = receive(session, header(1), services.now() - seconds(services.settings.max_wait_seconds + 1)).id
    sweeping.run()
    with services.session.begin() as session:
        assert session.get_one(Study, study_id).rank == 0


@pytest.mark.usefixtures("due_file")
def test_a_clock_set_back_puts_nothing_off(sweeping: Sweeping, services: ClockedServices) -> None:
    with services.session.begin() as session:
        receive(session, header(1), services.now())
    take(services)
    services.wait(-3600)
    assert sweeping.run() == ["analyse"], "not an hour and twenty seconds later"
    services.wait(services.settings.lease_seconds + 1)
    assert "intake" in sweeping.run(), "the lease has run out, nobody renewed it"


def test_clocks_that_differ_a_little_are_let_be(sweeping: Sweeping, services: ClockedServices) -> None:
    with services.session.begin() as session:
        receive(session, header(1), services.now())
    services.wait(-30)
    assert sweeping.run() == []


def test_a_database_that_is_away_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = Services(settings.model_copy(update={"database_url": "sqlite:////nowhere/at/all.db"}))
    sweeping = Sweeping(away, monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert sweeping.run() == []
    assert "does not answer" in caplog.text


@pytest.mark.usefixtures("due_file")
def test_every_worker_sweeps_on_its_own_timer(services: ClockedServices) -> None:
    rung: list[str] = []
    calls: list[tuple] = []
    parent = SimpleNamespace(
        app=SimpleNamespace(services=services, ring=lambda stage: rung.append(stage.name)),
        timer=SimpleNamespace(call_repeatedly=lambda *call: calls.append(call)),
        steps=[],
    )
    SweepStep(parent).start(parent)
    ((every, run),) = calls
    run()
    assert (every, rung) == (services.settings.sweep_seconds, ["intake"])
