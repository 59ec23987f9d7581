"""Is all well? Database and broker answer, the disk has room, and due work gets done: living is not enough."""

import shutil
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from worker.cli.broker import queue_lengths
from worker.cli.failure import MISUSED, CommandError
from worker.cli.opening import open_database, open_transactions
from worker.errors import io_error_name
from worker.pipeline import STAGES, Queue, Stage
from worker.settings import Settings
from worker.store.away import missing_store
from worker.store.claims import any_held
from worker.store.objects import ObjectStore
from worker.store.progress import due_since, last_event

STUCK_LEASES = 3
"""Due work may wait this many leases without anybody at it: a killed worker's rows are free again after one."""

PROGRESS = {
    "intake": ("received", "rejected", "duplicate", "unpacked", "given_up"),
    "analyse": ("analysed", "failed"),
    "report": ("rendered", "failed"),
    "deliver": ("reported",),
    "reject": ("returned",),
}
"""Events that show a stage at work. The worklist page is left out: nothing waits for it and no event tells of it."""


def queues_named(names: str | None) -> frozenset[Queue]:
    """Queues from a comma-separated list, all without one.

    Raises:
        CommandError: there is no such queue.
    """
    if names is None:
        return frozenset(Queue)
    try:
        return frozenset(Queue(name.strip()) for name in names.split(","))
    except ValueError:
        raise CommandError(f"The queues are {', '.join(Queue)}; {names!r} names another.", MISUSED) from None


def check_health(settings: Settings, queues: frozenset[Queue]) -> list[str]:
    """What is wrong, a sentence each.

    Raises:
        CommandError: the database does not answer.
    """
    with open_database(settings) as session:
        reasons = stuck_stages(session, queues, datetime.now(UTC), timedelta(seconds=settings.lease_seconds))
    if queue_lengths(settings) is None:
        reasons.append(broker_trouble(settings))
    return reasons + store_trouble(settings) + disk_trouble(settings)


def broker_trouble(settings: Settings) -> str:
    """The sentence for a broker that does not answer."""
    if settings.embedded_broker:
        return f"The broker's folder {settings.broker_folder} cannot be read."
    return "The broker does not answer (see TRIAGE_BROKER_URL)."


def store_trouble(settings: Settings) -> list[str]:
    """A sentence when all work waits for the store."""
    try:
        missing = missing_store(ObjectStore(settings.store), open_transactions(settings))
    except PermissionError:
        return []  # asked by another user than the worker's
    except OSError as error:
        return [f"The folder {settings.store} cannot be read ({io_error_name(error)})."]
    return [] if missing is None else [" ".join(missing)]


def disk_trouble(settings: Settings) -> list[str]:
    """A sentence when intake has stopped for want of room."""
    try:
        free = shutil.disk_usage(settings.home).free
    except OSError:
        return [f"The folder {settings.home} cannot be read (see TRIAGE_HOME)."]
    if free >= settings.min_free_bytes:
        return []
    left, needed = free >> 20, settings.min_free_bytes >> 20
    return [f"Intake has stopped: {settings.home} has {left} MiB left, below the {needed} of TRIAGE_MIN_FREE_BYTES."]


def stuck_stages(session: Session, queues: frozenset[Queue], now: datetime, lease: timedelta) -> list[str]:
    """A sentence for each stage of these queues that has due work and nobody at it."""
    return [
        sentence
        for stage in STAGES.values()
        if stage.queue in queues and stage.name in PROGRESS and (sentence := _stuck(session, stage, now, lease))
    ]


def _stuck(session: Session, stage: Stage, now: datetime, lease: timedelta) -> str | None:
    since = due_since(session, stage.table, stage.takes, now)
    patience = now - STUCK_LEASES * lease
    if since is None or since >= patience or any_held(session, stage.table, stage.takes, now):
        return None
    last = last_event(session, PROGRESS[stage.name])
    if last is not None and last >= patience:
        return None
    seconds = (now - since).total_seconds()
    return (
        f"Work for {stage.name!r} has been due for {seconds:.0f} s and nobody takes it: "
        f"is a worker with the queue {stage.queue.value!r} running?"
    )
