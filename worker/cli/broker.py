"""Queue lengths, as the broker sees them: bells not heard yet, not the amount of work."""

from worker.cli.failure import MISUSED, CommandError
from worker.pipeline import Queue
from worker.settings import Settings

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
        with Connection(url, connect_timeout=ANSWER_SECONDS, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, timeout=ANSWER_SECONDS)
            return {queue.value: _length(connection, queue) for queue in Queue}
    except (KombuError, OSError):
        return None
    except (KeyError, ValueError, ImportError):
        raise CommandError("TRIAGE_BROKER_URL is not a broker URL; see docs/settings.md.", MISUSED) from None


def _length(connection: object, queue: Queue) -> int:
    raise NotImplementedError
