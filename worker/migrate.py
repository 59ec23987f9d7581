"""Bring the database to the newest schema, by Alembic, through the connection of the caller's URL."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from worker.store.session import open_engine

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
MIGRATION_LOCK = 4_219_260
"""Postgres advisory lock: workers that start together migrate one after the other."""


def alembic_config(url: str) -> Config:
    """Alembic's configuration for a database, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = open_engine(url)
    return config


def migrate(url: str) -> None:
    """Upgrade to the newest revision; several workers may do so at once, one of them does the work."""
    command.upgrade(alembic_config(url), "head")
