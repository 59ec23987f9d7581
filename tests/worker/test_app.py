"""The Celery application: what it is configured to do, what a ring sends, what a task does."""

import json
import logging
from collections.abc import Iterator

import pytest
import redis

from tests.worker.conftest import ClockedServices
from worker.app import TriageApp, build_app
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
    assert visits == [(ANALYSE, services, embedded.ring)]


def test_nothing_is_opened_when_the_application_is_built(embedded: TriageApp, caplog: pytest.LogCaptureFixture) -> None:
    assert not {"session", "predictor", "bundle"} & vars(embedded.services).keys()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
