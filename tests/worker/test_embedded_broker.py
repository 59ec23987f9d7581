"""The file broker: messages appear whole, and come back as they went."""

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.transport.virtual import BrokerState

from worker.cli.broker import queue_lengths
from worker.embedded_broker import Channel, Transport
from worker.settings import Settings

MESSAGES = 1000
QUEUE = "intake"


@pytest.fixture
def connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    # kombu remembers for the whole process which queues are bound, whatever the folder
    monkeypatch.setattr(Transport, "global_state", BrokerState())
    folder = settings.broker_folder
    options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.001,
    }
    with Connection(
        "filesystem://localhost", transport="worker.embedded_broker:Transport", transport_options=options
    ) as connection:
        yield connection


def test_the_transport_is_ours(connection: Connection) -> None:
    assert isinstance(connection.transport, Transport)
    with connection.channel() as channel:
        assert isinstance(channel, Channel)


def test_a_message_comes_back_as_it_went(connection: Connection, settings: Settings) -> None:
    with connection.SimpleQueue(QUEUE) as queue:
        for number in range(3):
            queue.put({"number": number})
        assert queue_lengths(settings) == {"intake": 3, "inference": 0, "reports": 0}
        messages = [queue.get(timeout=5) for _ in range(3)]
        assert sorted(message.payload["number"] for message in messages) == [0, 1, 2]
        for message in messages:
            message.ack()
    assert list(settings.broker_folder.glob("*.*")) == []


def test_who_lists_while_others_write_sees_whole_messages_only(connection: Connection, settings: Settings) -> None:
    done = threading.Event()
    unfinished = []
    seen = 0

    def write() -> None:
        with connection.channel() as channel:
            for number in range(MESSAGES):
                channel._put(QUEUE, {"number": number})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set() or any(settings.broker_folder.glob("*.msg")):
        for message in settings.broker_folder.glob("*.msg"):
            seen += 1
            try:
                json.loads(message.read_bytes())
            except ValueError:
                unfinished.append(message.name)
            message.unlink()
    writer.join()
    assert (seen, unfinished) == (MESSAGES, [])


def test_kombus_own_channel_needs_it(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, kombu has mended it and worker.embedded_broker can go."""
    during: list[int] = []

    def dumps(payload: object) -> str:
        during.extend(message.stat().st_size for message in Path(channel.data_folder_out).glob("*.msg"))
        return json.dumps(payload)

    with connection.channel() as channel:
        monkeypatch.setattr(filesystem, "dumps", dumps)
        filesystem.Channel._put(channel, QUEUE, {})
        assert during == [0]
        monkeypatch.setattr("worker.embedded_broker.dumps", dumps)
        assert channel._purge(QUEUE) == 1
        during.clear()
        channel._put(QUEUE, {})
        assert during == []


def test_a_table_of_queues_is_whole_before_kombu_opens_it(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = []
    bind = filesystem.Channel._queue_bind

    def noting(channel: Channel, exchange: str, *rest: str) -> None:
        before.append((channel.control_folder / f"{exchange}.exchange").read_text())
        bind(channel, exchange, *rest)

    monkeypatch.setattr(filesystem.Channel, "_queue_bind", noting)
    with connection.channel() as channel:
        for _ in range(2):
            channel._queue_bind(QUEUE, QUEUE, "", QUEUE)
        assert [row.queue for row in channel.get_table(QUEUE)] == [QUEUE]
        assert [path.name for path in channel.control_folder.iterdir()] == [f"{QUEUE}.exchange"]
    assert before[0] == "[]"
    assert QUEUE in before[1]


def test_a_full_disk_is_a_channel_error_and_leaves_nothing(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worker.embedded_broker.Path.replace", full)
    with connection.channel() as channel, pytest.raises(ChannelError, match="No space left"):
        channel._put(QUEUE, {})
    assert list(settings.broker_folder.glob("*.*")) == []


def test_a_folder_that_was_removed_comes_back(connection: Connection, settings: Settings) -> None:
    with connection.channel() as channel:
        shutil.rmtree(settings.broker_folder)
        with pytest.raises(Empty):
            channel._get(QUEUE)
        shutil.rmtree(settings.broker_folder)
        channel._put(QUEUE, {"number": 1})
        assert channel._get(QUEUE) == {"number": 1}
        shutil.rmtree(settings.broker_folder)
        channel.queue_declare(QUEUE)
        channel._queue_bind(QUEUE, QUEUE, "", QUEUE)
        assert channel.get_table(QUEUE) == [(QUEUE, "", QUEUE)]


def test_a_full_temporary_folder_holds_no_message_up(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "is not there"))
    with connection.SimpleQueue(QUEUE) as queue:
        queue.put({"number": 1})
        assert queue.get(timeout=5).payload == {"number": 1}
