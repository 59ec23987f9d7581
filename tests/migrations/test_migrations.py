"""Migrations on SQLite and on Postgres: there and back, in agreement with the models, by several workers at once."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Engine, func, inspect, select, text

from tests.servers import PostgresServer
from worker.migrate import MIGRATION_LOCK, alembic_config, migrate
from worker.store.models import Base
from worker.store.session import open_engine

WORKERS = 3
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
        connection.execute(text("INSERT INTO event (at, kind) VALUES ('2026-03-01 12:00', 'received')"))
    migrate(url)
    with open_engine(url).begin() as connection:
        assert connection.execute(text("SELECT kind FROM event")).scalars().all() == ["received"]


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
