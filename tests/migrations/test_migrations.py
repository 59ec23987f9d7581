"""Migrations on SQLite and on Postgres: there and back, in agreement with the models, by several workers at once."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from tests.servers import PostgresServer
from worker.migrate import MIGRATION_LOCK, NewerDatabaseError, alembic_config, migrate
from worker.store.models import Base
from worker.store.session import open_engine

WORKERS = 3
RECEIVED = "INSERT INTO event (at, kind) VALUES ('2026-03-01 12:00', 'received')"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.create_database()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'triage.db'}"
    url: str = request.getfixturevalue("postgres_url")
    empty_postgres(url)
    return url


def empty_postgres(url: str) -> Engine:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return engine


def schema(engine: Engine) -> dict[str, object]:
    """Tables with their columns, indexes and constraints, so that two schemas can be compared."""
    inspector = inspect(engine)
    return {
        table: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)],
            sorted((index["name"], index["column_names"], index["unique"]) for index in inspector.get_indexes(table)),
            sorted((key["name"], key["constrained_columns"]) for key in inspector.get_foreign_keys(table)),
            sorted((unique["name"], unique["column_names"]) for unique in inspector.get_unique_constraints(table)),
        )
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def test_up_down_and_up_again_is_the_same_schema(url: str) -> None:
    migrate(url)
    first = schema(open_engine(url))
    assert first.keys() == {table.name for table in Base.metadata.sorted_tables}
    command.downgrade(alembic_config(url), "base")
    assert schema(open_engine(url)) == {}
    migrate(url)
    assert schema(open_engine(url)) == first


def test_models_and_migrations_agree(url: str) -> None:
    migrate(url)
    command.check(alembic_config(url))


@pytest.mark.parametrize(
    "difference",
    ["DROP INDEX ix_study_due", "ALTER TABLE event ADD COLUMN extra INTEGER", "DROP TABLE box"],
)
def test_a_difference_would_be_noticed(url: str, difference: str) -> None:
    migrate(url)
    with open_engine(url).begin() as connection:
        connection.execute(text(difference))
    with pytest.raises(CommandError, match="New upgrade operations"):
        command.check(alembic_config(url))


def test_a_migrated_database_is_left_as_it_is(url: str) -> None:
    migrate(url)
    with open_engine(url).begin() as connection:
        connection.execute(text(RECEIVED))
    migrate(url)
    with open_engine(url).begin() as connection:
        assert connection.execute(text("SELECT kind FROM event")).scalars().all() == ["received"]


def test_a_database_of_a_later_version_is_left_alone(url: str) -> None:
    migrate(url)
    with open_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabaseError, match="schema 9999, and this program knows only up to "):
        migrate(url)


@contextmanager
def without_foreign_keys(url: str) -> Iterator[Connection]:
    """A connection for rows that hang on nothing."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        yield connection
    engine.dispose()


def test_answers_of_the_first_schema_are_those_of_first_frames_and_keep_their_boxes(url: str) -> None:
    config = alembic_config(url)
    row = "revision, model_version, probabilities, classifier_probabilities) VALUES ({}, 1, 'a', '[1]', '[1]')"
    box = "INSERT INTO box (prediction_id, label, score, x1, y1, x2, y2) VALUES ({}, 'Glioma', 1, 0, 0, 1, 1)"
    command.upgrade(config, "0001")
    with without_foreign_keys(url) as connection:
        connection.execute(text("INSERT INTO prediction (id, instance_id, " + row.format("1, 1")))
        connection.execute(text(box.format(1)))
    command.upgrade(config, "head")
    with without_foreign_keys(url) as connection:
        assert connection.execute(text("SELECT frame FROM prediction")).scalars().all() == [1]
        connection.execute(text("INSERT INTO prediction (id, instance_id, frame, " + row.format("2, 1, 2")))
        connection.execute(text(box.format(2)))
    command.downgrade(config, "0001")
    with without_foreign_keys(url) as connection:
        assert connection.execute(text("SELECT id FROM prediction")).scalars().all() == [1]
        assert connection.execute(text("SELECT prediction_id FROM box")).scalars().all() == [1]


@pytest.mark.parametrize("change", ["UPDATE event SET kind = 'reported'", "DELETE FROM event", "TRUNCATE event"])
def test_events_are_never_changed(url: str, change: str) -> None:
    if url.startswith("sqlite") and change.startswith("TRUNCATE"):
        pytest.skip("SQLite knows no TRUNCATE")
    migrate(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text(RECEIVED))
    with pytest.raises(DBAPIError, match="events are appended and never changed"), engine.begin() as connection:
        connection.execute(text(change))
    with engine.begin() as connection:
        connection.execute(text(RECEIVED))
        assert connection.execute(text("SELECT kind FROM event")).scalars().all() == ["received", "received"]


def add_study(connection: Connection, name: str) -> int:
    """A study as any revision has it; returns its id."""
    now = "'2026-03-01 12:00'"
    connection.execute(
        text(
            "INSERT INTO study (public_id, study_uid, kind, revision, incomplete, patient_id_conflict, received_at,"
            " state, rank, waiting_since, not_before, attempts, crashes)"
            f" VALUES ('{name}', '{name}', 'image', 1, false, false, {now}, 'reported', 1, {now}, {now}, 0, 0)"
        )
    )
    return int(connection.execute(text(f"SELECT id FROM study WHERE public_id = '{name}'")).scalar_one())


def test_ids_of_rows_that_are_gone_are_not_given_again(url: str) -> None:
    """Rows of before the upgrade are kept; an event may tell of one that is gone, until the downgrade."""
    config = alembic_config(url)
    command.upgrade(config, "0004")
    with open_engine(url).begin() as connection:
        before, last = add_study(connection, "before"), add_study(connection, "last")
        for study in (before, last):
            connection.execute(text(f"INSERT INTO event (at, kind, study_id) VALUES ('2026-03-01', 'seen', {study})"))
    command.upgrade(config, "head")
    with open_engine(url).begin() as connection:
        connection.execute(text("DELETE FROM study WHERE public_id = 'last'"))
        assert add_study(connection, "after") > last
    command.downgrade(config, "0004")
    with open_engine(url).begin() as connection:
        found = connection.execute(text("SELECT study_id FROM event ORDER BY id")).scalars().all()
        assert found == [before, None]


def test_foreign_keys_hold_after_a_migration(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'triage.db'}")
    config = alembic_config(str(engine.url))
    config.attributes["engine"] = engine
    command.upgrade(config, "head")
    with engine.begin() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_workers_that_start_together_migrate_once(url: str) -> None:
    command_line = [sys.executable, "-c", f"from worker.migrate import migrate; migrate({url!r})"]
    workers = [subprocess.Popen(command_line, cwd=REPOSITORY, stderr=subprocess.PIPE) for _ in range(WORKERS)]
    errors = [worker.communicate()[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS, errors
    command.check(alembic_config(url))


def test_on_postgres_a_worker_waits_while_another_migrates(postgres_url: str) -> None:
    engine = empty_postgres(postgres_url)
    second = threading.Thread(target=migrate, args=(postgres_url,))
    with engine.begin() as first:
        first.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert schema(engine) == {}
    second.join()
    assert schema(engine) != {}


def test_there_is_one_newest_revision(url: str) -> None:
    assert len(ScriptDirectory.from_config(alembic_config(url)).get_heads()) == 1
