"""Database engines and sessions: SQLite in WAL with full sync, Postgres by psycopg."""

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from sqlalchemy import URL, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from worker.store.pseudonyms import INFO_KEY, Pseudonyms

Transaction = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction, which is committed when its block ends."""

SQLITE_BUSY_SECONDS = 30.0
SERVER_TIME_LIMITS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
"""For Postgres, in libpq's words: a network that swallows packets ends a wait in half a minute, a slow query not."""

SERVER_IS_ELSEWHERE = frozenset({"25006", "25P03", "25P04"})
"""SQLSTATE of a server that does not write, as after a failover, and of one that ended a session for being slow."""


class ForkGuard:
    """Held during transactions of a process that forks from another thread: its forks wait until they have ended.

    A child made in the middle of one inherits SQLite's table of locks, finds the database locked by itself, and does
    so for ever. Billiard replaces children from a thread of its own, while the inbox and the sweep work in the timer's.
    """

    def __init__(self) -> None:
        # re-entrant: where everything runs in one thread (Redis), a fork must not wait for itself
        self._lock = threading.RLock()
        self._forks_wait = False

    def make_forks_wait(self) -> None:
        """From now on; Python does not let go of what is called at a fork, so it is asked for once."""
        if not self._forks_wait:
            self._forks_wait = True
            release = self._lock.release
            os.register_at_fork(before=self._lock.acquire, after_in_parent=release, after_in_child=release)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine without a pool: connections are opened when needed, so nothing is shared across a fork.

    SQLite: write-ahead log, every commit on disk before it returns (NORMAL may lose the last ones on power loss), and
    every transaction takes the write lock at once, so that reading and updating what is due is one atomic step. With
    `read_only` it takes none: reading neither waits for a writer nor holds one up, and writing is refused.
    Errors never quote the values of a statement: file names are among them, and they end in logs. What passes by itself
    is an `OperationalError`, also what psycopg has another word for.
    """
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=_time_limits(make_url(url)),
        execution_options={"postgresql_readonly": True} if read_only else {},
    )
    if engine.dialect.name == "postgresql":
        event.listen(engine, "handle_error", _as_operational, retval=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        if read_only:
            event.listen(engine, "connect", _refuse_writing)
        event.listen(engine, "begin", _begin_deferred if read_only else _begin_immediate)
    return engine


def _time_limits(url: URL) -> dict[str, int]:
    if url.get_backend_name() != "postgresql":
        return {}
    return {name: value for name, value in SERVER_TIME_LIMITS.items() if name not in url.query}


def _as_operational(context: ExceptionContext) -> OperationalError | None:
    error = context.sqlalchemy_exception
    refusal = context.original_exception
    if not isinstance(error, InternalError) or getattr(refusal, "sqlstate", None) not in SERVER_IS_ELSEWHERE:
        return None
    return OperationalError(error.statement, error.params, refusal, hide_parameters=True)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy's own recipe: the driver must not open transactions by itself
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(SQLITE_BUSY_SECONDS * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _refuse_writing(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON").close()


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def session_factory(engine: Engine, pseudonyms: Pseudonyms | None = None) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after commit; with `pseudonyms` they keep no text of scans."""
    return sessionmaker(engine, expire_on_commit=False, info={INFO_KEY: pseudonyms})
