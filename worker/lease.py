"""Holding on to claimed rows while a step works on them, however long it takes."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from worker.services import Services
from worker.store.claims import Claim, ClaimableTable, renew

logger = logging.getLogger(__name__)

RENEWALS_A_LEASE = 3


@contextmanager
def held(services: Services, table: ClaimableTable, claim: Claim) -> Iterator[None]:
    """Renew the lease from a thread of its own until the block ends.

    Unpacking a large archive or reading a long study cannot renew it on the way. When the process is killed the thread
    goes with it, so the rows are free again one lease later.
    """
    done = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(done, services, table, claim), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew_until(done: threading.Event, services: Services, table: ClaimableTable, claim: Claim) -> None:
    while not done.wait(services.lease.total_seconds() / RENEWALS_A_LEASE):
        try:
            with services.session.begin() as session:
                renew(session, table, claim, services.now() + services.lease)
        except OperationalError as error:
            logger.warning("a lease could not be renewed: %s", type(error.orig).__name__)
