"""Holding on to claimed rows while a long claim is worked through."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from worker.services import Services
from worker.store.claims import Claim, ClaimableTable, renew

T = TypeVar("T")


def keeping_lease(services: Services, table: ClaimableTable, claim: Claim, items: Iterable[T]) -> Iterator[T]:
    """Go through `items`, renewing the lease before the next one when a third of it has passed."""
    renewed = services.now()
    for item in items:
        now = services.now()
        if now - renewed > services.lease / 3:
            with services.session.begin() as session:
                renew(session, table, claim, now + services.lease)
            renewed = now
        yield item
