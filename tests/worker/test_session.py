"""Database engines: SQLite's durability, no shared connections, and no values in error texts."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import NOON
from tests.worker.filing import add_file
from worker.store.models import Event, ScanFile


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
        session.add(Event(at=NOON, kind="received", study_id=12345))


def test_times_come_back_as_utc(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        file_id = add_file(session, at=NOON.replace(microsecond=123456)).id
    with sessions.begin() as session:
        moment = session.get_one(ScanFile, file_id).received_at
    assert (moment, moment.utcoffset().total_seconds()) == (NOON.replace(microsecond=123456), 0)


def test_a_time_without_a_zone_is_refused(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(Exception, match="timezone-aware"), sessions.begin() as session:
        add_file(session, at=NOON.replace(tzinfo=None))
