"""The file broker: messages appear whole, and come back as they went."""

import errno
import json
import os
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
GOOD = {"body": "", "properties": {"delivery_tag": "1"}}
UNREADABLE = {
    "empty": b"",
    "NUL": bytes(100),
    "cut short": b'{"body": "W10=", "properties": {"deli',
    "no object": b"[]",
    "an object of something else": b"{}",
    "not UTF-8": b"\xff\xfe{}",
    "deep": b"[" * 100_000,
    "a type nobody knows": b'{"__type__": "decimal", "__value__": "x"}',
    "no base64": b'{"body": "W", "properties": {"delivery_tag": "1", "body_encoding": "base64"}}',
}


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
        channel._put(QUEUE, GOOD)
        assert channel._get(QUEUE) == GOOD
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


def test_a_broken_message_is_dropped_and_the_next_one_comes(
    connection: Connection, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with connection.channel() as channel:
        for number, content in enumerate(UNREADABLE.values()):
            (settings.broker_folder / f"0_{number}.{QUEUE}.msg").write_bytes(content)
        channel._put(QUEUE, GOOD)
        assert channel._get(QUEUE) == GOOD
        with pytest.raises(Empty):
            channel._get(QUEUE)
    assert caplog.text.count("is passed over") == len(UNREADABLE)
    assert list(settings.broker_folder.glob("*.msg")) == []


def test_what_is_no_file_holds_no_message_up(connection: Connection, settings: Settings) -> None:
    with connection.channel() as channel:
        folder = settings.broker_folder / f"0_folder.{QUEUE}.msg"
        folder.mkdir()
        os.mkfifo(settings.broker_folder / f"0_pipe.{QUEUE}.msg")
        (settings.broker_folder / f"0_link.{QUEUE}.msg").symlink_to("/dev/zero")
        channel._put(QUEUE, GOOD)
        assert channel._get(QUEUE) == GOOD
        assert list(settings.broker_folder.glob("*.msg")) == [folder]


def test_a_message_that_cannot_be_removed_is_not_delivered_and_named_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    with connection.channel() as channel:
        channel._put(QUEUE, GOOD)
        with monkeypatch.context() as patched:
            patched.setattr("worker.embedded_broker.Path.unlink", refuse)
            for _ in range(3):
                with pytest.raises(Empty):
                    channel._get(QUEUE)
        assert caplog.text.count("Operation not permitted") == 1
        assert channel._get(QUEUE) == GOOD


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EIO])
def test_a_folder_that_cannot_be_listed_is_a_channel_error(
    number: int, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("worker.embedded_broker.Path.iterdir", refuse)
    with connection.channel() as channel:
        for look in (channel._get, channel._size):
            with pytest.raises(ChannelError, match=os.strerror(number)):
                look(QUEUE)


def test_a_file_in_place_of_the_folder_is_a_channel_error_until_it_is_gone(
    connection: Connection, settings: Settings
) -> None:
    with connection.channel() as channel:
        shutil.rmtree(settings.broker_folder)
        settings.broker_folder.touch()
        for use in (
            lambda: channel._get(QUEUE),
            lambda: channel._put(QUEUE, GOOD),
            lambda: channel.queue_declare(QUEUE),
            lambda: channel._queue_bind(QUEUE, QUEUE, "", QUEUE),
        ):
            with pytest.raises(ChannelError, match="File exists"):
                use()
        settings.broker_folder.unlink()
        channel._put(QUEUE, GOOD)
        assert channel._get(QUEUE) == GOOD


def test_a_home_that_is_not_there_is_a_channel_error_and_not_made(connection: Connection, settings: Settings) -> None:
    with connection.channel() as channel:
        away = settings.home.rename(settings.home.with_name("away"))
        with pytest.raises(ChannelError, match="No such file"):
            channel._get(QUEUE)
        assert not settings.home.exists()
        away.rename(settings.home)
        with pytest.raises(Empty):
            channel._get(QUEUE)


@pytest.mark.parametrize("content", [b"", bytes(9), b'[["intake", "', b"null", b'["x"]', b"\xff"])
def test_a_broken_table_of_queues_is_made_anew(content: bytes, connection: Connection) -> None:
    with connection.channel() as channel:
        table = channel.control_folder / f"{QUEUE}.exchange"
        table.write_bytes(content)
        assert channel.get_table(QUEUE) == []
        table.write_bytes(content)
        channel._queue_bind(QUEUE, QUEUE, "", QUEUE)
        assert channel.get_table(QUEUE) == [(QUEUE, "", QUEUE)]
