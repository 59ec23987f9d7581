"""The safety net: rings stages that have due work and nobody at it, and lifts what has waited too long.

Messages are only bells; when a broker loses them, a worker is killed, a quiet period ends or the clock is set back,
this is what goes on. A worklist page that somebody has removed is asked for again.
"""

import logging
import os
import time
from datetime import datetime, timedelta
from typing import Any

from celery import bootsteps
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from worker.outbox import INDEX_NAME
from worker.pipeline import STAGES, Ring, Stage
from worker.services import Services
from worker.store import queries
from worker.store.chores import want_worklist_again
from worker.store.claims import any_due, any_held, bring_back_to_now

logger = logging.getLogger(__name__)

MOST_DOUBLINGS = 10


class Sweep:
    """Looks for due work; remembers when it last rang each stage."""

    def __init__(self, services: Services, ring: Ring) -> None:
        self._services = services
        self._ring = ring
        self._unanswered: dict[str, int] = {}
        self._rang: dict[str, float] = {}

    def run(self) -> None:
        """Ring every stage that needs it."""
        page_is_there = os.path.lexists(self._services.settings.outbox / INDEX_NAME)
        try:
            with self._services.parent_work:
                stages = self._stages_to_ring(page_is_there=page_is_there)
            for stage in stages:
                self._ring(stage)
        except OperationalError as error:
            logger.warning("the database does not answer (%s); trying again", type(error.orig).__name__)

    def _stages_to_ring(self, *, page_is_there: bool) -> list[Stage]:
        now = self._services.now()
        max_wait = timedelta(seconds=self._services.settings.max_wait_seconds)
        longest_delay = timedelta(seconds=self._services.settings.quiet_seconds)
        with self._services.session.begin() as session:
            for stage in STAGES.values():
                bring_back_to_now(session, stage.table, stage.takes, now, longest_delay, self._services.lease)
            queries.lift_long_waiting(session, now, max_wait)
            if not page_is_there:
                want_worklist_again(session)
            return [stage for stage in STAGES.values() if self._needs_ring(session, stage, now)]

    def _needs_ring(self, session: Session, stage: Stage, now: datetime) -> bool:
        if not any_due(session, stage.table, stage.takes, now):
            self._unanswered.pop(stage.name, None)
            return False
        if any_held(session, stage.table, stage.takes, now):
            # somebody is at it, but perhaps with one long study while the bell for the others was lost
            self._unanswered.pop(stage.name, None)
            return self._rang_before(stage, self._services.settings.lease_seconds)
        # at once, then ever less often: where nobody serves a queue, its messages must not pile up
        unanswered = self._unanswered.get(stage.name, 0)
        pause = self._services.settings.sweep_seconds * (2**unanswered - 1)
        if not self._rang_before(stage, min(pause, self._services.settings.lease_seconds)):
            return False
        self._unanswered[stage.name] = min(unanswered + 1, MOST_DOUBLINGS)
        return True

    def _rang_before(self, stage: Stage, seconds: float) -> bool:
        """Is the last ring that long ago? If so, this counts as one."""
        clock = time.monotonic()
        if clock - self._rang.setdefault(stage.name, clock) < seconds:
            return False
        self._rang[stage.name] = clock
        return True


class SweepStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery is untyped
    """Bootstep: every worker sweeps, whatever queues it consumes."""

    requires = frozenset({"celery.worker.components:Timer", "celery.worker.components:Pool"})

    def start(self, parent: Any) -> None:
        """Sweep regularly on the worker's own timer."""
        parent.app.services.parent_work.make_forks_wait()
        sweep = Sweep(parent.app.services, parent.app.ring)
        parent.timer.call_repeatedly(parent.app.services.settings.sweep_seconds, sweep.run)
