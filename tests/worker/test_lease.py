"""A lease is renewed while a step runs, and only then."""

import threading
from datetime import datetime

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.filing import add_file
from worker.lease import held
from worker.pipeline import INTAKE
from worker.store.claims import Claim, claim_due
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
    with held(services, ScanFile, claim):
        services.wait(100)
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            renewed = lease_until(services, claim)
            if renewed == services.now() + services.lease:
                break
            tick.wait(0.05)
    assert renewed == services.now() + services.lease


def test_nobody_is_left_to_renew_it_afterwards(services: ClockedServices, claim: Claim) -> None:
    before = set(threading.enumerate())
    with held(services, ScanFile, claim):
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before


def test_an_error_of_the_step_comes_through(services: ClockedServices, claim: Claim) -> None:
    with pytest.raises(RuntimeError, match="a bug"), held(services, ScanFile, claim):
        raise RuntimeError("a bug")
