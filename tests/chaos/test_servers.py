"""Damage to broker and database."""

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.drops import mixed, pictures
from tests.chaos.ground import SHIPPED_ATTEMPTS, Ground
from tests.servers import MortalPostgres, MortalRedis
from worker.pipeline import Queue

COUNT = 60
A_MINUTE = 60.0
TIMES = 3
MANY_TIMES = 200
NO_TASK = {
    "body": "W10=",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "worker.intake"},
    "properties": {
        "delivery_tag": "1",
        "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": ""},
    },
}
BROKEN_MESSAGES = [
    b"",
    bytes(100),
    b'{"body": "W10=", "properties": {"deli',
    b"[]",
    b"{}",
    b"\xff\xfe{}",
    b"[" * 100_000,
    json.dumps(NO_TASK).encode(),
    json.dumps(NO_TASK | {"headers": None}).encode(),
    json.dumps(NO_TASK | {"body": "W"}).encode(),
]
"""Empty, NUL, cut short, of other programs, and such as Celery can make no task of."""


def put_message(message: Path, content: bytes) -> None:
    """Put a file into the broker's folder as a message, complete however broken."""
    beside = message.with_suffix(".part")
    beside.write_bytes(content)
    beside.rename(message)


def put_file_in_place_of(folder: Path) -> None:
    """Try until it is there: the worker makes the folder anew."""
    while not folder.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.touch(exist_ok=False)


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


@pytest.mark.long
def test_the_embedded_broker_removed_under_the_worker(embedded: Ground) -> None:
    worker = embedded.deployment.start()
    embedded.drop(pictures(COUNT))
    embedded.wait_for_work()
    for _ in range(TIMES):
        shutil.rmtree(embedded.deployment.settings.broker_folder)
        embedded.pause(0.5, 2)
    embedded.survives("the embedded broker's folder removed, again and again")
    assert worker.process.poll() is None


@pytest.mark.long
def test_broken_messages_in_the_embedded_broker(embedded: Ground) -> None:
    worker = embedded.deployment.start()
    embedded.drop(pictures(COUNT))
    embedded.wait_for_work()
    broker = embedded.deployment.settings.broker_folder
    for _ in range(TIMES):
        (broker / "control").mkdir(parents=True, exist_ok=True)
        for queue in Queue:
            for number, content in enumerate(BROKEN_MESSAGES):
                put_message(broker / f"0_{number}.{queue}.msg", content)
            (broker / f"0_folder.{queue}.msg").mkdir()
            os.mkfifo(broker / f"0_pipe.{queue}.msg")
            (broker / "control" / f"{queue}.exchange").write_bytes(b"")
        embedded.pause(0.5, 2)
        put_file_in_place_of(broker)
        embedded.pause(0.5, 2)
        broker.unlink()
    embedded.survives("broken messages in the embedded broker")
    assert worker.process.poll() is None


@pytest.mark.long
def test_broken_messages_in_redis(scaled_out: Ground, redis: MortalRedis) -> None:
    worker = scaled_out.deployment.start()
    scaled_out.drop(pictures(COUNT))
    scaled_out.wait_for_work()
    for queue in Queue:
        redis.push(queue, *BROKEN_MESSAGES)
    scaled_out.survives("broken messages in Redis")
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
