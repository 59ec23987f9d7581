"""Queue lengths, as the broker sees them: bells not heard yet, not the amount of work."""

from typing import TYPE_CHECKING

from worker.cli.failure import MISUSED, CommandError
from worker.pipeline import Queue
from worker.settings import Settings

if TYPE_CHECKING:
    from kombu import Connection

ANSWER_SECONDS = 3


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


def _of_server(url: str) -> dict[str, int] | None:
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
            return {queue.value: _length(connection, queue) for queue in Queue}
        except expected:
            return None


def _length(connection: "Connection", queue: Queue) -> int:
    """Declare passively: nothing is made. A queue nobody has used yet, or an empty list of Redis, is not found."""
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue.value, passive=True).message_count)
    except connection.channel_errors:
        return 0
