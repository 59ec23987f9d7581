"""Does the broker answer, and does it keep what it is given?"""

from collections.abc import Iterator

from worker.cli.broker import eviction_policy, queue_lengths
from worker.cli.doctor.folders import START_ONCE
from worker.cli.doctor.lines import Line, ok, trouble, warning
from worker.cli.failure import CommandError
from worker.cli.health import broker_trouble
from worker.settings import Settings

BROKER = "broker"
KEEPS_ALL = "noeviction"


def check_broker(settings: Settings) -> Iterator[Line]:
    """A line for its answer, and one for a Redis that throws messages away when its memory is full."""
    if settings.embedded_broker and not settings.broker_folder.exists():
        yield warning(BROKER, "The embedded broker's folder is not there yet.", START_ONCE)
        return
    try:
        lengths = queue_lengths(settings)
        policy = None if lengths is None else eviction_policy(settings)
    except CommandError as error:
        yield trouble(BROKER, error.sentence, "Set it right: docs/settings.md.")
        return
    if lengths is None:
        yield trouble(BROKER, broker_trouble(settings), "See that it runs and that this machine reaches it.")
        return
    yield ok(BROKER, f"The broker answers; {sum(lengths.values())} messages wait.")
    if policy is not None and policy != KEEPS_ALL:
        sentence = f"Redis drops what it holds when its memory is full (maxmemory-policy {policy})."
        yield warning(BROKER, sentence, f"Set maxmemory-policy {KEEPS_ALL}.")
