"""A lost connection that cannot be closed ends Celery's consumer, and not ours."""

from typing import Any

import pytest
from celery.worker.consumer import Consumer
from redis.exceptions import ConnectionError as LostConnectionError

from worker.app import TriageApp, build_app
from worker.consumer import LastingConsumer
from worker.settings import Settings


class Unclosable:
    """As Kombu's connection to a dead Redis, now and then, with unacknowledged messages in hand."""

    connection_errors = channel_errors = (OSError,)
    transport = None

    def collect(self, socket_timeout: float) -> None:
        """Has let go of everything else before."""

    def close(self) -> None:
        raise AttributeError("'NoneType' object has no attribute 'hostname'")


def lose_connection(consumer: type[Consumer], app: TriageApp) -> Any:
    """Tell a consumer that its connection is lost; returns what it then has for a connection."""
    without_a_worker = consumer.__new__(consumer)
    without_a_worker.connection, without_a_worker.app = Unclosable(), app
    without_a_worker.on_connection_error_after_connected(LostConnectionError("gone"))
    return without_a_worker.connection


def test_celery_ends_and_ours_goes_on(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with build_app(settings) as app:
        assert app.conf.worker_consumer == f"{LastingConsumer.__module__}:{LastingConsumer.__name__}"
        with pytest.raises(AttributeError, match="hostname"):
            lose_connection(Consumer, app)
        assert lose_connection(LastingConsumer, app) is None
    assert "was not closed ('NoneType' object has no attribute 'hostname'); a new one is made" in caplog.text
