"""How long one file keeps the others from being taken in."""

from itertools import pairwise

from tests.system.deployment import Deployment
from worker.store.models import Event

MOST_PAUSE_SECONDS = 10.0
TAKEN_IN = frozenset({"received", "rejected", "duplicate", "unpacked", "given_up"})


def longest_pause(deployment: Deployment) -> float:
    """Seconds between one file taken in and the next, at most."""
    with deployment.sessions.begin() as session:
        moments = sorted(event.at for event in session.query(Event) if event.kind in TAKEN_IN)
    return max((later - earlier).total_seconds() for earlier, later in pairwise(moments))
