"""Database engines: SQLite's durability, no shared connections, and no values in error texts."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import NOON
from tests.worker.filing import add_file
from worker.store.models import Event, ScanFile
from worker.store.session import open_engine


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)]
)
def test_sqlite_is_durable_and_patient(sqlite_engine: Engine, name: str, value: object) -> None:
    assert pragma(sqlite_engine, name) == value


def test_a_sqlite_transaction_takes_the_write_lock_at_once(sqlite_engine: Engine, tmp_path: Path) -> None:
    impatient = open_engine(f"sqlite:///{sqlite_engine.url.database}")
    with sqlite_engine.begin(), pytest.raises(DBAPIError, match="locked"), impatient.connect() as second:
        second.connection.cursor().execute("PRAGMA busy_timeout = 1")
        second.execute(text("SELECT 1"))


def test_every_block_has_a_connection_of_its_own(engine: Engine) -> None:
    driver_connections = []
    for _ in range(2):
        with engine.connect() as connection:
            driver_connections.append(connection.connection.driver_connection)
    assert driver_connections[0] is not driver_connections[1]


def test_errors_quote_no_values(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        claim_id = add_file(session).claim_id
    with pytest.raises(IntegrityError) as caught, sessions.begin() as session:
        session.add(
            ScanFile(
                claim_id=claim_id,
                original_name="Anna Test.dcm",
                state="claimed",
                received_at=NOON,
                waiting_since=NOON,
                not_before=NOON,
            )  # fmt: skip
        )
    assert "Anna Test" not in str(caught.value).split("DETAIL")[0]


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
