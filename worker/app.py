"""The Celery application, built from settings."""

import logging
from typing import Any

from celery import Celery
from kombu import Exchange
from kombu import Queue as KombuQueue
from kombu.exceptions import ChannelError, OperationalError

from worker.child_limits import leave_no_core_dumps
from worker.child_signals import obey_the_parent_alone
from worker.inbox import InboxStep
from worker.lost_children import free_what_lost_children_held
from worker.observability import announce, prepare_home
from worker.pipeline import Queue, Stage
from worker.services import Services
from worker.settings import Settings
from worker.sweep import SweepStep
from worker.tasks import register_tasks

logger = logging.getLogger(__name__)

EMBEDDED_POLLING_SECONDS = 0.05
"""kombu's file broker looks once a second by default, which would cap the worker at two messages a second."""
BELL_LEASES = 2
"""Workers drop older bells, so a queue that nobody served does not flood them; the sweep rings once a lease while work
is due, so that a busy worker finds a fresh one."""
LAST_WORDS_SECONDS = 2.0
"""So long the parent waits for what a killed child may still have answered."""
RING_AGAIN = {"max_retries": 1, "interval_start": 0}
"""For a connection that has just been lost. The sweep rings again: a silent broker must not hold up who rings."""
RESTORE_EVERY_SECONDS = 10
SERVER_CONNECT_SECONDS = 5.0
SERVER_ANSWER_SECONDS = 10.0
"""Longer than the second a BRPOP of kombu's blocks; a network that swallows packets must not hold the worker."""


class TriageApp(Celery):  # type: ignore[misc]  # celery is untyped
    """Celery with the services its tasks and bootsteps work with."""

    services: Services

    def ring(self, stage: Stage) -> None:
        """Tell the broker that `stage` has work; a broker that is away costs no more than a sweep, see worker.sweep."""
        try:
            expires = BELL_LEASES * self.services.settings.lease_seconds
            self.send_task(stage.task_name, queue=stage.queue.value, expires=expires, retry_policy=RING_AGAIN)
        except (OperationalError, ChannelError, OSError, *self.connection_for_write().channel_errors) as error:
            logger.warning("the broker does not answer (%s); the sweep rings %s again", error, stage.name)


def build_app(settings: Settings) -> TriageApp:
    """The application for these settings; nothing is opened yet."""
    app = TriageApp("worker", broker=settings.resolved_broker_url)
    app.services = Services(settings)
    app.conf.update(_configuration(settings))
    if settings.embedded_broker:
        app.conf.update(_embedded_broker(settings))
    elif app.conf.broker_url.startswith(("redis:", "rediss:")):
        app.conf.update(_of_redis(settings))
    app.steps["worker"].update((InboxStep, SweepStep))
    register_tasks(app)
    prepare_home(app)
    announce(app)
    obey_the_parent_alone()
    free_what_lost_children_held(app)
    leave_no_core_dumps()
    return app


def _configuration(settings: Settings) -> dict[str, Any]:
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_queues": [KombuQueue(queue.value, Exchange(queue.value), routing_key=queue.value) for queue in Queue],
        "task_default_queue": Queue.INTAKE.value,
        "task_create_missing_queues": False,
        "task_time_limit": settings.task_time_limit_seconds,
        "worker_concurrency": settings.concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_lost_wait": LAST_WORDS_SECONDS,
        "worker_max_memory_per_child": settings.max_memory_per_child_kb,
        "worker_hijack_root_logger": False,
        "worker_consumer": "worker.consumer:LastingConsumer",
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # a Redis that is out of memory, cannot write or has become a replica refuses commands; it recovers, so wait
        "broker_channel_error_retry": True,
    }


def _embedded_broker(settings: Settings) -> dict[str, Any]:
    messages = str(settings.broker_folder)
    return {
        "broker_transport": "worker.embedded_broker:Transport",
        "worker_pool": "worker.child_locks:LastingTaskPool",
        "broker_transport_options": {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": str(settings.broker_folder / "control"),
            "polling_interval": EMBEDDED_POLLING_SECONDS,
        },
        # one worker owns the embedded broker; remote control would only leave files behind
        "worker_enable_remote_control": False,
    }


def _of_redis(settings: Settings) -> dict[str, Any]:
    """For Redis only: other transports hand their options on to drivers that do not know these names."""
    return {
        "broker_transport_options": {
            "socket_connect_timeout": SERVER_CONNECT_SECONDS,
            "socket_timeout": SERVER_ANSWER_SECONDS,
            "socket_keepalive": True,
            # bells that a killed worker held go back to their queue when they are too old to be answered: dropped
            "visibility_timeout": BELL_LEASES * settings.lease_seconds,
            "unacked_restore_interval": RESTORE_EVERY_SECONDS,
            "unacked_restore_throttle": 1,
        },
    }
