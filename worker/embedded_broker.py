"""Kombu's file broker, with files that appear whole or not at all, in folders that come back when they are removed."""

import contextlib
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """Writes beside and renames: kombu makes a file empty and then fills it, and who reads in between gets nothing."""

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

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002  kombu's signature
        # who removes a message has it; kombu moves it to the temporary folder first, which may be full
        for message in sorted(Path(self.data_folder_in).iterdir()):
            if message.name.partition(".")[2] != f"{queue}.msg":
                continue
            try:
                payload = message.read_text()
                message.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ChannelError(f"Cannot take a message of {queue!r}: {error.strerror}") from error
            return dict(loads(payload))
        raise Empty

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


def _made(folder: Path) -> Path:
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
