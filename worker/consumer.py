"""Celery's consumer, which outlives a broker that goes away, and what others put into its queues.

Celery 5.7 closes the lost connection before it makes a new one. Kombu (5.7, Redis) then wants to give unacknowledged
messages back over a channel that has no connection any more, and its AttributeError would end the worker. They are
given back by the visibility timeout, and the sweep rings for what they stood for.

A message that is none ends a worker too: kombu and Celery trip over it in the event loop. It is a bell, so it may go.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.loops import asynloop, synloop
from kombu import Message
from kombu.exceptions import ChannelError

logger = logging.getLogger(__name__)

BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What kombu's decoders and Celery raise for a message that is none."""


class LastingConsumer(Consumer):  # type: ignore[misc]  # celery is untyped
    """`worker_consumer` names it."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a lost connection."""
        try:
            super().on_connection_error_after_connected(exc)
        except AttributeError as error:
            logger.warning("the lost connection to the broker was not closed (%s); a new one is made", error)

    def loop(self, *arguments: Any) -> None:
        """Run Celery's event loop; what kombu cannot read, it has taken from its queue: a new connection goes on."""
        try:
            (asynloop if self.hub else synloop)(*arguments)
        except self.connection_errors:
            raise
        except BROKEN as error:
            logger.warning("the event loop broke off; it starts again", exc_info=True)
            raise ChannelError(f"The event loop broke off: {type(error).__name__}") from error

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Message], None]:
        """Drop what Celery can make no task of; given back to the queue, it would come again and again."""
        handle = super().create_task_handler(*arguments, **options)

        def handle_or_drop(message: Message) -> None:
            try:
                handle(message)
            except BROKEN as error:
                logger.warning("a message that is no task was dropped (%s)", type(error).__name__)
                if not message.acknowledged:
                    message.reject_log_error(logger, self.connection_errors)

        return handle_or_drop
