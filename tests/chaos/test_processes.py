"""Damage to a running worker and its children: every file has its one outcome all the same."""

import os
import signal
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.drops import mixed, pictures
from tests.chaos.ground import SHIPPED_ATTEMPTS, Ground
from tests.system.deployment import Worker, compose_options, wait_until

COUNT = 60
KILLS = 3
CHILD_KILLS = 8
LONGER_THAN_A_LEASE = 5.0
STAND_STILLS = 6


def start_again_and_again(ground: Ground, end: Callable[[Worker], object], most: float) -> None:
    """Start a worker and end it within `most` seconds, `KILLS` times, then one that stays."""
    for _ in range(KILLS):
        worker = ground.deployment.start()
        ground.pause(0.1, most)
        end(worker)
    ground.deployment.start()


def stop_well(worker: Worker) -> None:
    assert worker.stop() == 0


def test_kill_9_of_the_worker_again_and_again(ground: Ground) -> None:
    ground.drop(pictures(COUNT))
    start_again_and_again(ground, Worker.kill, 3)
    ground.survives("kill -9 of the worker, again and again")


@pytest.mark.long
def test_kill_9_amid_archives_studies_and_files_that_are_none(ground: Ground) -> None:
    ground.drop(mixed(10))
    start_again_and_again(ground, Worker.kill, 4)
    ground.survives("kill -9 amid archives, studies and files that are no scans")


def test_kill_9_of_one_child_after_the_other(ground: Ground) -> None:
    worker = ground.deployment.start()
    ground.drop(pictures(COUNT))
    ground.wait_for_work()
    for _ in range(CHILD_KILLS):
        wait_until(lambda: bool(worker.children), 30, "a child", ground.deployment.logs)
        with suppress(ProcessLookupError):
            os.kill(ground.chance.choice(worker.children), signal.SIGKILL)
        ground.pause(0.05, 0.6)
    ground.survives("kill -9 of one child after the other")


def test_sigterm_to_the_group_under_load(ground: Ground) -> None:
    worker = ground.deployment.start()
    ground.drop(pictures(COUNT))
    ground.wait_for_work()
    assert worker.stop_group() == 0
    assert len(ground.deployment.reports()) < COUNT, "all was done before the signal: the test proves nothing"
    ground.deployment.start()
    ground.survives("SIGTERM to the whole group under load")


@pytest.mark.long
def test_sighup_to_the_group_under_load(ground: Ground) -> None:
    worker = ground.deployment.start()
    ground.drop(pictures(COUNT))
    ground.wait_for_work()
    worker.hang_up_group()
    ground.survives("SIGHUP to the whole group under load")
    assert worker.process.poll() is None


@pytest.mark.long
def test_sigterm_again_and_again(ground: Ground) -> None:
    ground.drop(mixed(10))
    start_again_and_again(ground, stop_well, 4)
    ground.survives("SIGTERM and a new start, again and again")


@pytest.mark.long
def test_a_worker_frozen_for_longer_than_its_lease(ground: Ground) -> None:
    """Where another one does meanwhile what it held, its late work must not count when it wakes up."""
    has_another = ground.redis is not None
    frozen = ground.deployment.start()
    ground.drop(mixed(10))
    ground.wait_for_work()
    os.killpg(frozen.process.pid, signal.SIGSTOP)
    if has_another:
        ground.deployment.start()
    ground.pause(LONGER_THAN_A_LEASE, 2 * LONGER_THAN_A_LEASE)
    os.killpg(frozen.process.pid, signal.SIGCONT)
    ground.survives(f"a worker frozen for longer than its lease{' beside another one' if has_another else ''}")


@pytest.mark.long
def test_children_that_stand_still_again_and_again(ground: Ground) -> None:
    """Each for longer than its lease, so that the other takes its scans; no scan is to blame, however often."""
    ground.deployment.environment |= SHIPPED_ATTEMPTS
    worker = ground.deployment.start()
    ground.drop(mixed(10))
    ground.wait_for_work()
    for _ in range(STAND_STILLS):
        frozen = ground.chance.choice(worker.children)
        os.kill(frozen, signal.SIGSTOP)
        ground.pause(LONGER_THAN_A_LEASE, LONGER_THAN_A_LEASE)
        os.kill(frozen, signal.SIGCONT)
        ground.pause(0, 1)
    ground.survives("one child after the other frozen for longer than its lease")


@pytest.mark.long
def test_two_workers_on_one_inbox(ground: Ground) -> None:
    for _ in range(2):
        ground.deployment.start()
    ground.drop(mixed(10))
    ground.survives("two workers on one inbox")


@pytest.mark.long
def test_one_of_three_kinds_of_workers_at_a_time(scaled_out: Ground) -> None:
    """Intake, inference and report workers that are never there together: the database remembers in between."""
    scaled_out.drop(mixed(10))
    for service in ("intake", "inference", "reports"):
        worker = scaled_out.deployment.start(*compose_options(service))
        scaled_out.pause(6, 10)
        assert worker.stop() == 0
    for service in ("intake", "inference", "reports"):
        scaled_out.deployment.start(*compose_options(service))
    scaled_out.survives("intake, inference and report workers, one kind at a time")


@pytest.mark.long
def test_work_longer_than_the_visibility_timeout(scaled_out: Ground, tmp_path: Path) -> None:
    """Redis hands a message that is not acknowledged in time to another worker: no scan is reported twice for it."""
    messages = tmp_path / "messages"
    scaled_out.deployment.environment |= {
        "SLOW_WORKER_MESSAGES": str(messages),
        "TRIAGE_CLAIM_SIZE": "1",
        "TRIAGE_LEASE_SECONDS": "30",  # else what is handed out again is too old, and dropped unread
    }
    for _ in range(2):
        scaled_out.deployment.start(application="tests.chaos.slow_worker")
    scaled_out.drop(pictures(24))
    scaled_out.survives("analyses longer than Redis' visibility timeout, two workers")
    handed_to = defaultdict(set)
    for task_id, worker in (line.split(", ") for line in messages.read_text().splitlines()):
        handed_to[task_id].add(worker)
    assert max(map(len, handed_to.values())) == 2, "no message was handed to both: the test proves nothing"
