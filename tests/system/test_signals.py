"""Signals to a worker and its children: it stops when asked, by whom ever, and outlives the death of a child."""

import os
import signal
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from tests.system.deployment import Deployment, wait_until
from tests.system.outcomes import assert_given_up, assert_reported_once
from tests.worker.scans import enhanced, png
from worker.store.claims import ClaimableTable
from worker.store.models import ScanFile, Study

SLICES = 600
"""More than any processor reads in the second or two after which a task is stopped."""
DEPLOYMENTS = pytest.mark.parametrize("kind", ["embedded", pytest.param("scaled_out", marks=pytest.mark.long)])


def deployed(kind: str, request: pytest.FixtureRequest) -> Deployment:
    deployment = request.getfixturevalue(kind)
    assert isinstance(deployment, Deployment)
    return deployment


def held_rows(deployment: Deployment) -> list[tuple[str, int]]:
    """Rows that somebody still holds."""
    tables: tuple[ClaimableTable, ...] = (ScanFile, Study)
    now = datetime.now(UTC)
    with deployment.sessions.begin() as session:
        return [
            (table.__tablename__, row_id)
            for table in tables
            for row_id in session.scalars(select(table.id).where(table.lease_until >= now))
        ]


def test_sigterm_to_the_whole_group_ends_an_idle_worker(embedded: Deployment) -> None:
    worker = embedded.start()
    assert worker.stop_group() == 0
    assert "signal 15" not in worker.log.read_text()


@DEPLOYMENTS
def test_sigterm_to_the_whole_group_finishes_the_rows_in_hand(kind: str, request: pytest.FixtureRequest) -> None:
    deployment, count = deployed(kind, request), 60
    deployment.environment |= {"TRIAGE_CLAIM_SIZE": "4"}
    worker = deployment.start()
    for number in range(count):
        deployment.drop(f"{number}.png", png(number))
    wait_until(lambda: bool(deployment.reports()), 60, "a first report", deployment.logs)
    assert worker.stop_group() == 0
    assert len(deployment.reports()) < count, "all was done before the signal: the test proves nothing"
    assert "signal 15" not in worker.log.read_text()
    assert held_rows(deployment) == []
    deployment.start()
    deployment.wait_until_done(count)
    assert len(deployment.reports()) == count


@DEPLOYMENTS
def test_sighup_to_the_whole_group_finishes_the_rows_in_hand_and_starts_anew(
    kind: str, request: pytest.FixtureRequest
) -> None:
    deployment, count = deployed(kind, request), 60
    deployment.environment |= {"TRIAGE_CLAIM_SIZE": "4"}
    worker = deployment.start()
    children = worker.children
    for number in range(count):
        deployment.drop(f"{number}.png", png(number))
    wait_until(lambda: bool(deployment.reports()), 60, "a first report", deployment.logs)
    worker.hang_up_group()
    assert "exited prematurely" not in worker.log.read_text()
    assert not set(children) & set(worker.children)
    deployment.wait_until_done(count)
    assert len(deployment.reports()) == count
    assert worker.stop() == 0


@DEPLOYMENTS
def test_a_cold_shutdown_still_ends_the_children(kind: str, request: pytest.FixtureRequest) -> None:
    worker = deployed(kind, request).start()
    children = worker.children
    assert children
    worker.process.send_signal(signal.SIGQUIT)
    worker.process.wait(60)
    assert not [child for child in children if is_running(child)]


@DEPLOYMENTS
def test_idle_children_that_are_killed_are_replaced(kind: str, request: pytest.FixtureRequest) -> None:
    deployment = deployed(kind, request)
    worker = deployment.start()
    first = worker.children
    for child in first:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(set(worker.children) - set(first)) == len(first), 60, "new children", deployment.logs)
    deployment.drop("scan.png", png(1))
    deployment.wait_until_done(1)
    assert len(deployment.reports()) == 1
    assert worker.stop() == 0


@pytest.mark.long
def test_a_study_beyond_the_time_of_a_task_is_given_up_and_the_worker_goes_on(embedded: Deployment) -> None:
    content, good = enhanced(7, range(SLICES), [40] * SLICES), 8
    embedded.environment |= {
        "TRIAGE_TASK_TIME_LIMIT_SECONDS": "8",
        "TRIAGE_MAX_ATTEMPTS": "2",
        "TRIAGE_LEASE_SECONDS": "2",
        "TRIAGE_QUIET_SECONDS": "0",
        # no file may take longer than half of what a task may
        "TRIAGE_MAX_FILE_SECONDS": "1",
        "TRIAGE_MAX_FILE_BYTES": str(len(content)),
    }
    worker = embedded.start()
    for number in range(good):
        embedded.drop(f"{number}.png", png(number))
        if number == good // 2:
            embedded.drop("frames.dcm", content)
    embedded.wait_until_done(good + 1)
    assert embedded.logs().count("Hard time limit") == 2, embedded.logs()
    assert_given_up(embedded, "frames.dcm", 2)
    assert_reported_once(embedded, good, but="frames.dcm")
    assert worker.process.poll() is None
    assert worker.stop_group() == 0


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
