"""Celery's consumer, which outlives a broker that goes away while messages are unacknowledged.

Celery 5.7 closes the lost connection before it makes a new one. Kombu (5.7, Redis) then wants to give unacknowledged
messages back over a channel that has no connection any more, and its AttributeError would end the worker. They are
given back by the visibility timeout, and the sweep rings for what they stood for.
"""

import logging

from celery.worker.consumer import Consumer

logger = logging.getLogger(__name__)


class LastingConsumer(Consumer):  # type: ignore[misc]  # celery is untyped
    """`worker_consumer` names it."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a lost connection."""
        try:
            super().on_connection_error_after_connected(exc)
        except AttributeError as error:
            logger.warning("the lost connection to the broker was not closed (%s); a new one is made", error)
