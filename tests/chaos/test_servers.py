"""Damage to broker and database."""

import shutil
import signal

import pytest

from tests.chaos.drops import mixed, pictures
from tests.chaos.ground import SHIPPED_ATTEMPTS, Ground
from tests.servers import MortalPostgres, MortalRedis

COUNT = 60
A_MINUTE = 60.0
TIMES = 3
MANY_TIMES = 200


@pytest.fixture
def redis(scaled_out: Ground) -> MortalRedis:
    assert scaled_out.redis is not None
    return scaled_out.redis


@pytest.fixture
def postgres(scaled_out: Ground) -> MortalPostgres:
    assert scaled_out.postgres is not None
    return scaled_out.postgres


def test_a_broker_that_is_killed_and_comes_back_empty(scaled_out: Ground, redis: MortalRedis) -> None:
    scaled_out.deployment.start()
    scaled_out.drop(pictures(COUNT))
    scaled_out.wait_for_work()
    redis.kill()
    scaled_out.pause(0.5, 2)
    redis.start()
    scaled_out.survives("Redis killed and started again empty")


@pytest.mark.long
def test_a_broker_that_is_away_for_a_minute(scaled_out: Ground, redis: MortalRedis) -> None:
    scaled_out.deployment.start()
    scaled_out.drop(mixed(10))
    scaled_out.wait_for_work()
    redis.kill()
    scaled_out.pause(A_MINUTE, A_MINUTE)
    redis.start()
    scaled_out.survives("Redis away for a minute")


@pytest.mark.long
def test_a_broker_that_is_not_there_at_start(scaled_out: Ground, redis: MortalRedis) -> None:
    redis.kill()
    worker = scaled_out.deployment.launch()
    scaled_out.pause(5, 10)
    redis.start()
    scaled_out.deployment.wait_until_ready(worker)
    scaled_out.drop(mixed(10))
    scaled_out.survives("Redis not there at start")


@pytest.mark.long
@pytest.mark.parametrize(
    ("refuse", "accept", "scenario"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "Redis out of memory"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "Redis a replica for a while"),
        (("FLUSHALL",), ("PING",), "Redis emptied"),
    ],
)
def test_a_broker_that_refuses_commands(
    scaled_out: Ground, redis: MortalRedis, refuse: tuple[str, ...], accept: tuple[str, ...], scenario: str
) -> None:
    worker = scaled_out.deployment.start()
    scaled_out.drop(pictures(COUNT))
    scaled_out.wait_for_work()
    redis.tell(*refuse)
    scaled_out.pause(5, 10)
    redis.tell(*accept)
    scaled_out.survives(scenario)
    assert worker.process.poll() is None


@pytest.mark.long
def test_a_database_that_does_not_write_for_a_while(scaled_out: Ground, postgres: MortalPostgres) -> None:
    worker = scaled_out.deployment.start()
    scaled_out.drop(pictures(COUNT))
    scaled_out.wait_for_work()
    url = scaled_out.deployment.settings.resolved_database_url
    postgres.let_write(url, allowed=False)
    scaled_out.pause(5, 10)
    postgres.let_write(url, allowed=True)
    scaled_out.survives("Postgres read-only for a while")
    assert worker.process.poll() is None
    assert "Traceback" not in scaled_out.deployment.logs()


def test_the_embedded_broker_removed_under_the_worker(embedded: Ground) -> None:
    worker = embedded.deployment.start()
    embedded.drop(pictures(COUNT))
    embedded.wait_for_work()
    for _ in range(TIMES):
        shutil.rmtree(embedded.deployment.settings.broker_folder)
        embedded.pause(0.5, 2)
    embedded.survives("the embedded broker's folder removed, again and again")
    assert worker.process.poll() is None


@pytest.mark.parametrize("request_to_stop", [signal.SIGINT, pytest.param(signal.SIGQUIT, marks=pytest.mark.long)])
def test_a_database_that_restarts(
    scaled_out: Ground, postgres: MortalPostgres, request_to_stop: signal.Signals
) -> None:
    scaled_out.deployment.start()
    scaled_out.drop(pictures(COUNT))
    scaled_out.wait_for_work()
    postgres.stop(request_to_stop)
    scaled_out.pause(0.5, 3)
    postgres.start()
    ending = "restarted" if request_to_stop is signal.SIGINT else "killed and started again"
    scaled_out.survives(f"Postgres {ending} in the middle")


@pytest.mark.long
def test_a_database_that_ends_all_sessions_again_and_again(scaled_out: Ground, postgres: MortalPostgres) -> None:
    """As an administrator does, or a proxy in between."""
    scaled_out.deployment.environment |= SHIPPED_ATTEMPTS
    worker = scaled_out.deployment.start()
    scaled_out.drop(mixed(10))
    scaled_out.wait_for_work()
    for _ in range(MANY_TIMES):
        postgres.end_sessions(scaled_out.deployment.settings.resolved_database_url)
        scaled_out.pause(0, 0.2)
    scaled_out.survives("Postgres ends all sessions, again and again")
    assert worker.process.poll() is None
    assert "Traceback" not in scaled_out.deployment.logs()


@pytest.mark.long
def test_a_database_that_is_not_there_at_start_and_for_a_minute_later(
    scaled_out: Ground, postgres: MortalPostgres
) -> None:
    postgres.stop()
    worker = scaled_out.deployment.launch()
    scaled_out.pause(5, 10)
    postgres.start()
    scaled_out.deployment.wait_until_ready(worker)
    scaled_out.drop(mixed(10))
    scaled_out.wait_for_work()
    postgres.stop(signal.SIGQUIT)
    scaled_out.pause(A_MINUTE, A_MINUTE)
    postgres.start()
    scaled_out.survives("Postgres not there at start, and away for a minute later")
