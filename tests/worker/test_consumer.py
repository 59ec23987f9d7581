"""A lost connection that cannot be closed ends Celery's consumer, and not ours; nor does a message that is none."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from celery.worker.consumer import Consumer
from kombu.exceptions import ChannelError
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


def bare_consumer() -> Any:
    """Ours, with a broker whose every error is a lost connection, and without a worker."""
    consumer = LastingConsumer.__new__(LastingConsumer)
    consumer.hub, consumer.connection_errors = None, (OSError,)
    return consumer


@pytest.mark.parametrize("error", [ValueError, UnicodeError, TypeError, KeyError, AttributeError, RecursionError])
def test_what_kombu_cannot_read_is_waited_for(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.consumer.synloop", raising(error("no message")))
    with pytest.raises(ChannelError, match=error.__name__):
        bare_consumer().loop()


@pytest.mark.parametrize("error", [OSError, RuntimeError, SystemExit])
def test_lost_connections_and_stops_are_celerys_own(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.consumer.synloop", raising(error("gone")))
    with pytest.raises(error, match="gone"):
        bare_consumer().loop()


def test_a_message_that_is_no_task_is_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handle = raising(KeyError("id"))
    monkeypatch.setattr(Consumer, "create_task_handler", lambda *_: handle)
    message = Mock(acknowledged=False)
    bare_consumer().create_task_handler()(message)
    message.reject_log_error.assert_called_once()
    assert "no task was dropped (KeyError)" in caplog.text


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail
