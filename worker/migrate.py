"""Bring the database to the newest schema, by Alembic, through the connection of the caller's URL."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from worker.store.session import open_engine

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
MIGRATION_LOCK = 4_219_260
"""Postgres advisory lock: workers that start together migrate one after the other."""


class NewerDatabaseError(Exception):
    """The database was migrated by a later version of the program: one sentence."""


@dataclass(frozen=True)
class Schema:
    """Of which revision a database is, and which this program knows.

    Attributes:
        found: revision of the database, `None` without any.
        known: all revisions of this program, newest first.
    """

    found: str | None
    known: tuple[str, ...]

    @property
    def is_newer(self) -> bool:
        """Was it made by a later version of the program?"""
        return self.found is not None and self.found not in self.known

    @property
    def is_current(self) -> bool:
        """Is it what this program works with?"""
        return self.found == self.known[0]


def schema_of(connection: Connection) -> Schema:
    """Ask a database for its revision."""
    known = tuple(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    return Schema(MigrationContext.configure(connection).get_current_revision(), known)


def alembic_config(url: str) -> Config:
    """Alembic's configuration for a database, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = open_engine(url)
    return config


def migrate(url: str) -> None:
    """Upgrade to the newest revision; several workers may do so at once, one of them does the work.

    Raises:
        NewerDatabaseError: it is of a revision that this program does not know.
    """
    config = alembic_config(url)
    with config.attributes["engine"].connect() as connection:
        schema = schema_of(connection)
    if schema.is_newer:
        raise NewerDatabaseError(
            f"The database has schema {schema.found}, and this program knows only up to {schema.known[0]}: "
            "start the version that migrated it, or bring back the backup from before the upgrade."
        )
    command.upgrade(config, "head")
