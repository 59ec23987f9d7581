"""The safety net: rings stages that have due work and nobody at it, and lifts what has waited too long.

Messages are only bells; when a broker loses them, a worker is killed or a quiet period ends, this is what goes on.
"""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from celery import bootsteps
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from worker.pipeline import STAGES, Ring, Stage
from worker.services import Services
from worker.store import queries
from worker.store.claims import any_due, any_held

logger = logging.getLogger(__name__)


class Sweep:
    """Looks for due work; remembers when it last rang each stage."""

    def __init__(self, services: Services, ring: Ring) -> None:
        self._services = services
        self._ring = ring
        self._rang: dict[str, float] = {}

    def run(self) -> None:
        """Ring every stage that needs it."""
        try:
            for stage in self._idle_stages():
                self._rang[stage.name] = time.monotonic()
                self._ring(stage)
        except OperationalError as error:
            logger.warning("the database does not answer (%s); trying again", type(error.orig).__name__)

    def _idle_stages(self) -> list[Stage]:
        now = self._services.now()
        settings = self._services.settings
        with self._services.session.begin() as session:
            queries.lift_long_waiting(session, now, timedelta(seconds=settings.max_wait_seconds))
            return [stage for stage in STAGES.values() if self._needs_ring(session, stage, now)]

    def _needs_ring(self, session: Session, stage: Stage, now: datetime) -> bool:
        if not any_due(session, stage.table, stage.takes, now):
            return False
        return not any_held(session, stage.table, stage.takes, now) or self._rang_long_ago(stage)

    def _rang_long_ago(self, stage: Stage) -> bool:
        # somebody is at it, but perhaps with one long study while the bell for the others was lost
        last = self._rang.setdefault(stage.name, time.monotonic())
        return time.monotonic() - last > self._services.settings.lease_seconds


class SweepStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery is untyped
    """Bootstep: every worker sweeps, whatever queues it consumes."""

    requires = frozenset({"celery.worker.components:Timer", "celery.worker.components:Pool"})

    def start(self, parent: Any) -> None:
        """Sweep regularly on the worker's own timer."""
        sweep = Sweep(parent.app.services, parent.app.ring)
        parent.timer.call_repeatedly(parent.app.services.settings.sweep_seconds, sweep.run)
