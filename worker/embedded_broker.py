"""Kombu's file broker, with files that appear whole or not at all, in folders that come back when they are removed.

A message is a bell, and the sweep rings again: a broken one is dropped. A disk that refuses is a `ChannelError`, after
which Celery tries again; any other error would end the worker.
"""

import contextlib
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

logger = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Writes beside and renames: kombu makes a file empty and then fills it, and who reads in between gets nothing."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._passed_over: set[Path] = set()

    @property
    def data_folder_in(self) -> str:
        """Where messages are."""
        return str(_made(Path(super().data_folder_in)))

    @property
    def data_folder_out(self) -> str:
        """The same folder."""
        return str(_made(Path(super().data_folder_out)))

    @property
    def control_folder(self) -> Path:
        """Where tables of bindings are."""
        _made(Path(super().data_folder_in))
        return _made(Path(super().control_folder))

    def get_table(self, exchange: str) -> list[Any]:
        """The queues bound to an exchange; a broken table is removed, as if nobody had bound any."""
        try:
            return list(super().get_table(exchange))  # type: ignore[no-untyped-call]
        except ChannelError:
            raise
        except Exception as error:  # noqa: BLE001  kombu's decoders raise what they like
            logger.warning("a broken table of the embedded broker was removed: %s (%s)", exchange, type(error).__name__)
        with _refusals(f"remove the broken table of {exchange!r}"):
            self._exchange_file(exchange).unlink(missing_ok=True)  # type: ignore[no-untyped-call]
        return []

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002  kombu's signature
        for message in self._messages(queue):
            payload = self._take(message)
            if payload is not None:
                return payload
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._messages(queue))

    def _messages(self, queue: str) -> list[Path]:
        folder = Path(self.data_folder_in)
        with _refusals("list the messages"):
            return sorted(path for path in folder.iterdir() if path.name.partition(".")[2] == f"{queue}.msg")

    def _take(self, message: Path) -> dict[str, Any] | None:
        """Read and remove a message; `None` if it is broken, or cannot be removed: then it would come for ever."""
        payload = None
        try:
            payload = self._read(message)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  kombu's decoders raise what they like
            self._warn_once(message, error)
        # who removes a message has it; kombu moves it to the temporary folder first, which may be full
        try:
            message.unlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn_once(message, error)
            return None
        self._passed_over.discard(message)
        return payload

    def _read(self, message: Path) -> dict[str, Any]:
        if not stat.S_ISREG(message.stat().st_mode):
            raise ValueError("not a file")  # a pipe would be waited for
        payload: dict[str, Any] = loads(message.read_bytes())
        self.Message(payload, channel=self)  # type: ignore[no-untyped-call]  # as kombu will, outside of any `except`
        return payload

    def _warn_once(self, message: Path, error: Exception) -> None:
        """Say why a message is passed over, once: where it cannot be removed it is met at every look."""
        if message not in self._passed_over:
            logger.warning(
                "a message of the embedded broker is passed over: %s (%s: %s)",
                message.name,
                type(error).__name__,
                error,
            )
        self._passed_over.add(message)

    # kombu's own two base classes disagree about the second name
    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        # kombu's own name, which gives the order; with the suffix it is no queue's message yet
        target = Path(self.data_folder_out, f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg")
        with _refusals(f"add a message for {queue!r}"):
            _write_whole(target, dumps(payload))

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        self.get_table(exchange)  # kombu would stumble over a broken one
        # an empty table first, complete; kombu fills it under its lock
        table: Path = self._exchange_file(exchange)  # type: ignore[no-untyped-call]
        with _refusals(f"bind {queue!r}"):
            if not table.exists():
                _make_once(table, "[]")
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]


class Transport(filesystem.Transport):
    """The file broker with those channels; `broker_transport` names it."""

    Channel = Channel


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Turn what the disk says into what Celery waits for."""
    try:
        yield
    except OSError as error:
        raise ChannelError(f"Cannot {what}: {error.strerror}") from error


def _made(folder: Path) -> Path:
    # not its parents: a home that is not mounted must not be made on the disk below
    with _refusals(f"make the folder {folder.name!r}"):
        folder.mkdir(exist_ok=True)
    return folder


def _write_whole(target: Path, text: str) -> None:
    beside = target.with_name(f"{target.name}.part")
    try:
        beside.write_text(text)
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _make_once(target: Path, text: str) -> None:
    """A link, unlike a rename, does not take the place of what another process made meanwhile."""
    beside = target.with_name(f"{target.name}.{uuid4()}.part")
    with contextlib.suppress(OSError):  # nor where there are no hard links: then kombu makes the file
        beside.write_text(text)
        target.hardlink_to(beside)
    beside.unlink(missing_ok=True)
