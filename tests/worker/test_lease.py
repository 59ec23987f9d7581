"""A lease is renewed while a step runs, and only then."""

import threading
from datetime import datetime

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.filing import add_file
from worker.lease import held
from worker.pipeline import INTAKE
from worker.store.claims import MOST_FORGIVEN, Claim, claim_due
from worker.store.models import ScanFile

PATIENCE_SECONDS = 20.0


@pytest.fixture
def claim(services: ClockedServices) -> Claim:
    services.settings.lease_seconds = 0.15
    with services.session.begin() as session:
        add_file(session, at=services.now())
    with services.session.begin() as session:
        found = claim_due(session, ScanFile, INTAKE.takes, 1, services.now(), services.lease)
    assert found is not None
    return found


def lease_until(services: ClockedServices, claim: Claim) -> datetime | None:
    with services.session.begin() as session:
        return session.get_one(ScanFile, claim.ids[0]).lease_until


def test_it_is_renewed_while_the_block_runs(services: ClockedServices, claim: Claim) -> None:
    first = lease_until(services, claim)
    assert first is not None
    tick = threading.Event()
    with held(services, INTAKE, claim, services.now()):
        services.wait(100)
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            renewed = lease_until(services, claim)
            if renewed == services.now() + services.lease:
                break
            tick.wait(0.05)
    assert renewed == services.now() + services.lease


def test_nobody_is_left_to_renew_it_afterwards(services: ClockedServices, claim: Claim) -> None:
    before = set(threading.enumerate())
    with held(services, INTAKE, claim, services.now()):
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before


def test_an_error_of_the_step_comes_through(services: ClockedServices, claim: Claim) -> None:
    with pytest.raises(RuntimeError, match="a bug"), held(services, INTAKE, claim, services.now()):
        raise RuntimeError("a bug")


def test_a_holder_who_only_stood_still_takes_back_the_crash_that_a_thief_counted(
    services: ClockedServices, claim: Claim
) -> None:
    services.settings.lease_seconds = 1000  # nothing is renewed on the way
    with held(services, INTAKE, claim, services.now()):
        services.wait(2000)
        with services.session.begin() as session:
            thief = claim_due(session, ScanFile, INTAKE.takes, 1, services.now(), services.lease)
        assert thief is not None
        assert thief.crashes == 1
    with services.session.begin() as session:
        row = session.get_one(ScanFile, claim.ids[0])
        assert (row.crashes, row.lease_token) == (0, thief.token)


def test_standing_still_is_not_forgiven_for_ever(services: ClockedServices, claim: Claim) -> None:
    services.settings.lease_seconds = 1000
    with services.session.begin() as session:
        session.get_one(ScanFile, claim.ids[0]).attempts = MOST_FORGIVEN
    with held(services, INTAKE, claim, services.now()):
        services.wait(2000)
        with services.session.begin() as session:
            claim_due(session, ScanFile, INTAKE.takes, 1, services.now(), services.lease)
    with services.session.begin() as session:
        assert session.get_one(ScanFile, claim.ids[0]).crashes == 1


def test_a_crash_of_somebody_else_stays_counted(services: ClockedServices, claim: Claim) -> None:
    services.settings.lease_seconds = 1000
    services.wait(2000)
    with services.session.begin() as session:
        second = claim_due(session, ScanFile, INTAKE.takes, 1, services.now(), services.lease)
    assert second is not None
    with held(services, INTAKE, second, services.now()):
        services.wait(10)
    with services.session.begin() as session:
        assert session.get_one(ScanFile, claim.ids[0]).crashes == 1
