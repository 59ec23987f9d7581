"""Holding on to claimed rows while a step works on them, however long it takes."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy.exc import OperationalError

from worker.pipeline import Stage
from worker.services import Services
from worker.store.claims import Claim, forgive_theft, renew

logger = logging.getLogger(__name__)

RENEWALS_A_LEASE = 3


@contextmanager
def held(services: Services, stage: Stage, claim: Claim, since: datetime) -> Iterator[None]:
    """Renew the lease from a thread of its own until the block ends.

    Unpacking a large archive or reading a long study cannot renew it on the way. When the process is killed the thread
    goes with it, so the rows are free again one lease later. The lease counts from `since`, before the claim was made.
    """
    hold = _Hold(services, stage, claim, since)
    done = threading.Event()
    thread = threading.Thread(target=hold.renew_until, args=(done,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        hold.end()


class _Hold:
    """A lease that is renewed, and what is put right when it lapsed all the same while this process stood still."""

    def __init__(self, services: Services, stage: Stage, claim: Claim, since: datetime) -> None:
        self._services = services
        self._stage = stage
        self._claim = claim
        self._renewed_at = since

    def renew_until(self, done: threading.Event) -> None:
        """Several times a lease."""
        while not done.wait(self._services.lease.total_seconds() / RENEWALS_A_LEASE):
            self._renew()

    def end(self) -> None:
        """The last moment to notice that it lapsed."""
        if self._has_lapsed():
            self._renew()

    def _renew(self) -> None:
        try:
            with self._services.session.begin() as session:
                if self._has_lapsed():
                    forgive_theft(session, self._stage.table, self._stage.takes, self._claim)
                now = self._services.now()
                renew(session, self._stage.table, self._claim, now + self._services.lease)
            self._renewed_at = now
        except OperationalError as error:
            logger.warning("a lease could not be renewed: %s", type(error.orig).__name__)

    def _has_lapsed(self) -> bool:
        return self._services.now() - self._renewed_at > self._services.lease
