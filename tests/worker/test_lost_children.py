"""A child that is killed over a task which is no stage of ours."""

import logging

import pytest
from billiard.exceptions import WorkerLostError
from celery import signals

from worker.app import build_app
from worker.settings import Settings


def test_a_task_of_celery_itself_held_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with build_app(settings) as app, caplog.at_level(logging.WARNING):
        signals.task_failure.send(
            sender=app.tasks["celery.chord_unlock"], task_id="1", exception=WorkerLostError("killed")
        )
    assert caplog.messages == []
