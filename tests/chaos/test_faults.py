"""Damage to a running worker, its children and its servers: every file is reported once all the same."""

import os
import signal
from contextlib import ExitStack, suppress

import pytest

from tests.chaos.ground import Ground, scans
from tests.system.deployment import wait_until

COUNT = 60
KILLS = 3
CHILD_KILLS = 8

ON_BOTH = pytest.mark.parametrize("kind", ["embedded", pytest.param("scaled_out", marks=pytest.mark.long)])


@pytest.fixture
def ground(kind: str, request: pytest.FixtureRequest) -> Ground:
    found = request.getfixturevalue(kind)
    assert isinstance(found, Ground)
    return found


@ON_BOTH
def test_kill_9_of_the_worker_again_and_again(ground: Ground) -> None:
    ground.drop(scans(COUNT))
    for _ in range(KILLS):
        worker = ground.deployment.start()
        ground.pause(0.1, 3)
        worker.kill()
    ground.deployment.start()
    ground.survives("kill -9 of the worker, again and again")


# seen not done in time on a busy machine, and not understood: until it is, no gate
@pytest.mark.long
@ON_BOTH
def test_kill_9_of_one_child_after_the_other(ground: Ground) -> None:
    worker = ground.deployment.start()
    ground.drop(scans(COUNT))
    ground.wait_for_work()
    for _ in range(CHILD_KILLS):
        wait_until(lambda: bool(worker.children), 30, "a child", ground.deployment.logs)
        with suppress(ProcessLookupError):
            os.kill(ground.chance.choice(worker.children), signal.SIGKILL)
        ground.pause(0.05, 0.6)
    ground.survives("kill -9 of one child after the other")


@ON_BOTH
def test_sigterm_to_the_group_under_load(ground: Ground) -> None:
    worker = ground.deployment.start()
    ground.drop(scans(COUNT))
    ground.wait_for_work()
    assert worker.stop_group() == 0
    assert len(ground.deployment.reports()) < COUNT, "all was done before the signal: the test proves nothing"
    ground.deployment.start()
    ground.survives("SIGTERM to the whole group under load")


@ON_BOTH
def test_the_same_files_twice(ground: Ground) -> None:
    ground.deployment.start()
    first = scans(COUNT)
    ground.drop(first)
    ground.drop({f"again/{name}": content for name, content in first.items()})
    ground.survives("the same files twice")


def test_a_broker_that_is_killed_and_comes_back_empty(scaled_out: Ground) -> None:
    assert scaled_out.redis is not None
    scaled_out.deployment.start()
    scaled_out.drop(scans(COUNT))
    scaled_out.wait_for_work()
    scaled_out.redis.kill()
    scaled_out.pause(0.5, 2)
    scaled_out.redis.start()
    scaled_out.survives("Redis killed and started again empty")


@pytest.mark.parametrize("request_to_stop", [signal.SIGINT, pytest.param(signal.SIGQUIT, marks=pytest.mark.long)])
def test_a_database_that_restarts(scaled_out: Ground, request_to_stop: signal.Signals) -> None:
    assert scaled_out.postgres is not None
    scaled_out.deployment.start()
    scaled_out.drop(scans(COUNT))
    scaled_out.wait_for_work()
    scaled_out.postgres.stop(request_to_stop)
    scaled_out.pause(0.5, 3)
    scaled_out.postgres.start()
    ending = "restarted" if request_to_stop is signal.SIGINT else "killed and started again"
    scaled_out.survives(f"Postgres {ending} in the middle")


@pytest.mark.long
def test_two_workers_on_one_inbox(scaled_out: Ground) -> None:
    scaled_out.deployment.start()
    scaled_out.deployment.start()
    scaled_out.drop(scans(COUNT))
    scaled_out.survives("two workers on one inbox")


@ON_BOTH
def test_a_writer_that_pauses_longer_than_the_settle_time(ground: Ground) -> None:
    ground.deployment.start()
    slow = scans(5)
    with ExitStack() as writers:
        inbox = ground.deployment.settings.inbox
        files = {name: writers.enter_context((inbox / name).open("wb", buffering=0)) for name in slow}
        for third in range(3):
            for name, content in slow.items():
                files[name].write(content[third * len(content) // 3 : (third + 1) * len(content) // 3])
            ground.pause(2, 2.5)  # thrice the settle time of these tests is 0.9
    ground.dropped |= slow
    ground.survives("writers that pause longer than the settle time")
