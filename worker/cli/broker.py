"""Queue lengths, as the broker sees them: bells not heard yet, not the amount of work."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from worker.cli.failure import MISUSED, CommandError
from worker.pipeline import Queue
from worker.settings import Settings

if TYPE_CHECKING:
    from kombu import Connection

ANSWER_SECONDS = 3

Answer = TypeVar("Answer")


def queue_lengths(settings: Settings) -> dict[str, int] | None:
    """Messages by queue; `None` when the broker does not answer."""
    return _embedded(settings) if settings.embedded_broker else _of_server(_broker_url(settings))


def _broker_url(settings: Settings) -> str:
    try:
        return settings.resolved_broker_url
    except OSError as error:
        raise CommandError(f"TRIAGE_BROKER_PASSWORD_FILE cannot be read: {error.strerror}.", MISUSED) from None


def _embedded(settings: Settings) -> dict[str, int] | None:
    """Kombu's file broker keeps one file a message, `MILLISECONDS_UUID.QUEUE.msg`."""
    try:
        names = [path.name for path in settings.broker_folder.iterdir()]
    except OSError:
        return None
    return {queue.value: sum(name.partition(".")[2] == f"{queue}.msg" for name in names) for queue in Queue}


def eviction_policy(settings: Settings) -> str | None:
    """What a Redis does when its memory is full (`maxmemory-policy`); `None` of others and of one that is away."""
    if settings.embedded_broker:
        return None
    return _ask(_broker_url(settings), _policy)


def _policy(connection: "Connection") -> str | None:
    if connection.transport.driver_type != "redis":
        return None
    # INFO, unlike CONFIG, is allowed by managed servers
    client = connection.default_channel.client  # type: ignore[attr-defined]  # of the Redis transport alone
    policy = client.info("memory").get("maxmemory_policy")
    return None if policy is None else str(policy)


def _of_server(url: str) -> dict[str, int] | None:
    return _ask(url, lambda connection: {queue.value: _length(connection, queue) for queue in Queue})


def _ask(url: str, question: "Callable[[Connection], Answer]") -> "Answer | None":
    """The answer of a server, `None` when there is none.

    Raises:
        CommandError: the URL is none.
    """
    from kombu import Connection
    from kombu.exceptions import KombuError

    options = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    try:
        connection = Connection(url, connect_timeout=ANSWER_SECONDS, transport_options=options)
        expected = (KombuError, *connection.connection_errors)
    except (KeyError, ValueError, ImportError):
        raise CommandError("TRIAGE_BROKER_URL is not a broker URL; see docs/settings.md.", MISUSED) from None
    with connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=ANSWER_SECONDS)
            return question(connection)
        except expected:
            return None


def _length(connection: "Connection", queue: Queue) -> int:
    """Declare passively: nothing is made. A queue nobody has used yet, or an empty list of Redis, is not found."""
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue.value, passive=True).message_count)
    except connection.channel_errors:
        return 0
