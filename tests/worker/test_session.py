"""Database engines: SQLite's durability, no shared connections, and no values in error texts."""

import multiprocessing
import os
import sqlite3
import threading
from contextlib import closing

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import NOON
from tests.worker.filing import add_file
from worker.store.models import ScanFile, Series
from worker.store.session import SERVER_TIME_LIMITS, ForkGuard, open_engine


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)]
)
def test_sqlite_is_durable_and_patient(sqlite_engine: Engine, name: str, value: object) -> None:
    assert pragma(sqlite_engine, name) == value


def test_a_sqlite_transaction_takes_the_write_lock_at_once(sqlite_engine: Engine) -> None:
    other = sqlite3.connect(str(sqlite_engine.url.database), timeout=0, isolation_level=None)
    with closing(other), sqlite_engine.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")


def test_every_block_has_a_connection_of_its_own(engine: Engine) -> None:
    driver_connections = []
    for _ in range(2):
        with engine.connect() as connection:
            driver_connections.append(connection.connection.driver_connection)
    assert driver_connections[0] is not driver_connections[1]


def test_errors_quote_no_values(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        first, second = add_file(session), add_file(session, "Anna Test.dcm")
    change = update(ScanFile).where(ScanFile.original_name == "Anna Test.dcm").values(claim_id=first.claim_id)
    with sessions.begin() as session, pytest.raises(IntegrityError) as caught:
        session.execute(change)
    assert "Anna Test" not in str(caught.value)
    assert second.claim_id not in str(caught.value)


def test_a_foreign_key_holds(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(Series(study_id=12345, series_uid="1.2"))


def test_times_come_back_as_utc(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        file_id = add_file(session, at=NOON.replace(microsecond=123456)).id
    with sessions.begin() as session:
        moment = session.get_one(ScanFile, file_id).received_at
    assert (moment, moment.utcoffset().total_seconds()) == (NOON.replace(microsecond=123456), 0)


def test_a_time_without_a_zone_is_refused(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(Exception, match="timezone-aware"), sessions.begin() as session:
        add_file(session, at=NOON.replace(tzinfo=None))


def test_reading_waits_for_no_writer_and_holds_none_up(sqlite_engine: Engine) -> None:
    reader = open_engine(str(sqlite_engine.url), read_only=True)
    with sqlite_engine.begin() as writing:
        writing.execute(text("DELETE FROM event"))
        with reader.begin() as reading:
            assert reading.execute(text("SELECT count(*) FROM file")).scalar() == 0
    with reader.begin() as reading:
        reading.execute(text("SELECT count(*) FROM file"))
        with sqlite_engine.begin() as writing:
            writing.execute(text("DELETE FROM event"))


def test_who_only_reads_cannot_write(engine: Engine) -> None:
    reader = open_engine(engine.url.render_as_string(hide_password=False), read_only=True)
    with pytest.raises(DBAPIError, match=r"readonly|read-only"), reader.begin() as connection:
        connection.execute(text("DELETE FROM event"))


def test_a_postgres_that_does_not_answer_costs_seconds(postgres_engine: Engine) -> None:
    with postgres_engine.connect() as connection:
        used = connection.connection.driver_connection.info.get_parameters()
    assert {name: int(used[name]) for name in SERVER_TIME_LIMITS} == SERVER_TIME_LIMITS


def test_time_limits_in_the_url_win(postgres_engine: Engine) -> None:
    url = postgres_engine.url.update_query_dict({"connect_timeout": "9"})
    with open_engine(url.render_as_string(hide_password=False)).connect() as connection:
        assert connection.connection.driver_connection.info.get_parameters()["connect_timeout"] == "9"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12: that other threads run is the test
@pytest.mark.parametrize("guarded", [True, False])
def test_a_child_forked_during_a_transaction(sqlite_engine: Engine, guarded: bool) -> None:
    """Without the guard it inherits the lock of a transaction that in its process never ends."""
    guard = ForkGuard()
    if guarded:
        guard.make_forks_wait()
        guard.make_forks_wait()  # both bootsteps ask
    begun, forking = threading.Event(), threading.Event()

    def transact() -> None:
        with guard, sqlite_engine.begin():
            begun.set()
            forking.wait(1.0 if guarded else 10.0)

    other = threading.Thread(target=transact)
    other.start()
    begun.wait(10.0)
    child = os.fork()
    if child == 0:
        os._exit(_write_after_the_fork(sqlite_engine, guard))
    forking.set()
    other.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if guarded else 1)


def _write_after_the_fork(engine: Engine, guard: ForkGuard) -> int:
    """In the child: 0 when the database can be written to, 1 when it stays locked."""
    try:
        threading.Event().wait(0.3)  # the parent's transaction ends meanwhile
        with engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA busy_timeout = 500")
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        with guard:  # nor is the guard itself inherited locked
            return 0
    except (sqlite3.OperationalError, OperationalError):
        return 1
    except Exception:  # noqa: BLE001  nothing may leave the child
        return 2


def test_a_postgres_that_does_not_write_may_be_back_later(postgres_engine: Engine) -> None:
    change = text("UPDATE file SET original_name = :name")
    with postgres_engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(OperationalError) as caught:
            connection.execute(change, {"name": "Anna Test.dcm"})
    assert type(caught.value.orig).__name__ == "ReadOnlySqlTransaction"
    assert "Anna Test" not in str(caught.value)


def test_a_postgres_transaction_that_is_misused_is_a_bug(postgres_engine: Engine) -> None:
    with postgres_engine.connect() as connection:
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))
        with pytest.raises(InternalError):
            connection.execute(text("SELECT 1"))


PROCESSES, TRANSACTIONS = 4, 50


def _count_up(url: str) -> None:
    """In a process of its own: read what is there, and write one more."""
    engine = open_engine(url)
    for _ in range(TRANSACTIONS):
        with engine.begin() as connection:
            count = connection.execute(text("SELECT number FROM counter")).scalar_one()
            connection.execute(text("UPDATE counter SET number = :number"), {"number": count + 1})


def test_four_processes_write_to_sqlite_and_none_finds_it_locked(sqlite_engine: Engine) -> None:
    with sqlite_engine.begin() as connection:
        connection.execute(text("CREATE TABLE counter (number INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_count_up, args=(str(sqlite_engine.url),)) for _ in range(PROCESSES)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    with sqlite_engine.begin() as connection:
        assert connection.execute(text("SELECT number FROM counter")).scalar_one() == PROCESSES * TRANSACTIONS
