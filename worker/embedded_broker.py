"""Kombu's file broker, with files that appear whole or not at all."""

import contextlib
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Writes beside and renames: kombu makes a file empty and then fills it, and who reads in between gets nothing."""

    # kombu's own two base classes disagree about the second name
    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        # kombu's own name, which gives the order; with the suffix it is no queue's message yet
        target = Path(self.data_folder_out, f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg")
        try:
            _write_whole(target, dumps(payload))
        except OSError as error:
            raise ChannelError(f"Cannot add a message for {queue!r}: {error.strerror}") from error

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        # an empty table first, complete; kombu fills it under its lock
        table: Path = self._exchange_file(exchange)  # type: ignore[no-untyped-call]
        if not table.exists():
            _make_once(table, "[]")
        super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]


class Transport(filesystem.Transport):
    """The file broker with those channels; `broker_transport` names it."""

    Channel = Channel


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
