"""The Celery application: what it is configured to do, what a ring sends, what a task does."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery.worker.request import Request
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerError

from tests.worker.conftest import ClockedServices
from worker.app import TriageApp, build_app
from worker.embedded_broker import Transport
from worker.inbox import InboxStep
from worker.pipeline import ANALYSE, INTAKE, STAGES, Queue
from worker.settings import Settings
from worker.sweep import SweepStep

MESSAGES_CARRY_NOTHING = [[], {}]


@pytest.fixture
def embedded(settings: Settings) -> Iterator[TriageApp]:
    with build_app(settings) as app:
        yield app


@pytest.fixture
def on_redis(settings: Settings, redis_url: str) -> Iterator[TriageApp]:
    with build_app(settings.model_copy(update={"broker_url": redis_url})) as app:
        yield app


def test_every_stage_has_a_task_and_a_queue_that_exists(embedded: TriageApp) -> None:
    assert {stage.task_name for stage in STAGES.values()} <= set(embedded.tasks)
    assert {queue.name for queue in embedded.conf.task_queues} == set(Queue)
    assert {InboxStep, SweepStep} <= set(embedded.steps["worker"])


def test_settings_reach_celery(settings: Settings) -> None:
    changed = settings.model_copy(update={"concurrency": 5, "task_time_limit_seconds": 77.0})
    with build_app(changed) as app:
        assert (app.conf.worker_concurrency, app.conf.task_time_limit) == (5, 77.0)
        assert (app.conf.accept_content, app.conf.task_serializer) == (["json"], "json")


def test_the_embedded_broker_lies_in_home_and_is_asked_often(embedded: TriageApp, settings: Settings) -> None:
    options = embedded.conf.broker_transport_options
    assert options["data_folder_in"] == options["data_folder_out"] == str(settings.broker_folder)
    assert options["polling_interval"] < 0.1
    with embedded.connection_for_write() as connection:
        assert isinstance(connection.transport, Transport)


def test_a_ring_is_a_message_for_the_stages_queue_that_carries_nothing(on_redis: TriageApp, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.delete(*Queue)
    on_redis.ring(ANALYSE)
    assert [client.llen(queue) for queue in Queue] == [0, 1, 0]
    message = json.loads(client.rpop(ANALYSE.queue))
    client.close()
    assert message["headers"]["task"] == "worker.analyse"
    assert message["content-type"] == "application/json"
    assert message["headers"]["argsrepr"] == "()"
    assert message["headers"]["kwargsrepr"] == "{}"


def test_a_ring_on_the_embedded_broker_is_a_file(embedded: TriageApp, settings: Settings) -> None:
    embedded.ring(INTAKE)
    assert [path.name.split(".")[1] for path in settings.broker_folder.glob("*.msg")] == ["intake"]


def test_a_broker_that_is_away_is_left_to_the_sweep(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with build_app(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})) as app:
        app.ring(INTAKE)
    assert "the sweep rings intake again" in caplog.text


def test_a_task_visits_its_stage(
    embedded: TriageApp, services: ClockedServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits = []
    monkeypatch.setattr("worker.tasks.run_stage", lambda *visit: visits.append(visit))
    embedded.services = services
    embedded.tasks["worker.analyse"]()
    assert visits == [(ANALYSE, services, embedded.ring, None)]


def test_nothing_is_opened_when_the_application_is_built(embedded: TriageApp, caplog: pytest.LogCaptureFixture) -> None:
    assert not {"session", "predictor", "bundle"} & vars(embedded.services).keys()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "error", [BrokerError("away"), ChannelError("refused"), OSError(28, "No space left"), redis.ResponseError("OOM")]
)
def test_whatever_the_broker_says_a_ring_costs_one_warning(
    on_redis: TriageApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(on_redis, "send_task", fail)
    on_redis.ring(INTAKE)
    (record,) = caplog.records
    assert "the sweep rings intake again" in record.getMessage()


def test_a_bell_that_nobody_heard_within_a_lease_is_dropped(
    settings: Settings, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    brief = settings.model_copy(update={"broker_url": redis_url, "lease_seconds": 0.01})
    with (
        build_app(brief) as app,
        app.connection_for_read() as connection,
        connection.SimpleQueue(INTAKE.queue) as bells,
    ):
        bells.clear()
        app.ring(INTAKE)
        message = bells.get(timeout=5)
        time.sleep(0.05)
        dropped: list[object] = []
        request = Request(message, app=app, task=app.tasks[INTAKE.task_name], on_ack=lambda *_: dropped.append(message))
        assert request.revoked()
        assert dropped == [message]
        message.ack()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_redis_that_does_not_answer_costs_seconds(on_redis: TriageApp) -> None:
    with on_redis.connection_for_write() as connection:
        client = connection.default_channel.client.connection_pool.connection_kwargs
        longest_wait = connection.transport.brpop_timeout
    assert client["socket_connect_timeout"] == 5.0
    assert client["socket_timeout"] > 5 * longest_wait
    assert client["socket_keepalive"] is True


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"TRIAGE_BROKER_URL": "redis://x/0", "TRIAGE_BROKER_PASSWORD_FILE": "/nowhere/at.all"},
            "TRIAGE_BROKER_PASSWORD_FILE cannot be read: No such file or directory.",
        ),
        ({"TRIAGE_CONCURRENCY": "0"}, "TRIAGE_CONCURRENCY: "),
    ],
)
def test_a_setting_that_stops_the_start_is_one_sentence(variables: dict[str, str], sentence: str) -> None:
    command = [sys.executable, "-m", "celery", "-A", "worker", "worker"]
    repository = Path(__file__).resolve().parents[2]
    said = subprocess.run(
        command, env=os.environ | variables, cwd=repository, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 1
    assert said.stderr.startswith(sentence)
    assert said.stderr.count("\n") == 1
