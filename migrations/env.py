"""Alembic environment: runs on the engine that `worker.migrate` hands over."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from alembic import context
from sqlalchemy import Connection, text

from worker.migrate import MIGRATION_LOCK
from worker.store.models import Base, UtcDateTime


def _render_type(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write plain column types into migrations, so that an old one never depends on today's models."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render_type,
    )
    context.run_migrations()


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """SQLite changes a table by making another and dropping the first, which rows that hang on it would forbid.

    The switch does nothing within a transaction (https://www.sqlite.org/pragma.html#pragma_foreign_keys).
    """
    driver = connection.connection.driver_connection
    if connection.dialect.name != "sqlite" or driver is None:
        yield
        return
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


with context.config.attributes["engine"].connect() as connection, _without_foreign_keys(connection), connection.begin():
    _migrate(connection)
