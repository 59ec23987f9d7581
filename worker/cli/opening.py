"""Opening what commands need, with a sentence for everything that people can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from worker.cli.failure import MISUSED, CommandError
from worker.settings import Settings, what_is_wrong
from worker.store.pseudonyms import Pseudonyms
from worker.store.session import Transaction, open_engine, session_factory

MISSING_TABLE = ("no such table", "no such column", "does not exist")
"""What SQLite and Postgres say of a schema that is not there, or of another version."""


def load_settings() -> Settings:
    """Read and check the settings.

    Raises:
        CommandError: one sentence for each setting that is wrong; exit code 2.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise CommandError("\n".join(what_is_wrong(error)), MISUSED) from None


@contextmanager
def open_database(settings: Settings, *, write: bool = False) -> Iterator[Session]:
    """One transaction on the configured database: `open_transactions` for commands that need no second one."""
    with open_transactions(settings, write=write)() as session:
        yield session


def open_transactions(settings: Settings, *, write: bool = False) -> Transaction:
    """Transactions on the configured database, which must be there already; they read unless told to `write`.

    Raises:
        CommandError: it is missing; in a transaction, it does not answer or has another schema.
    """
    url = _database_url(settings)
    if url.get_backend_name() == "sqlite":
        _check_file(settings, url)
    pseudonyms = _pseudonyms(settings) if write else None
    try:
        engine = open_engine(url.render_as_string(hide_password=False), read_only=not write)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise CommandError(f"TRIAGE_DATABASE_URL asks for a driver that is not installed: {error}.", MISUSED) from None
    sessions = session_factory(engine, pseudonyms)

    @contextmanager
    def transaction() -> Iterator[Session]:
        try:
            with sessions.begin() as session:
                yield session
        except DBAPIError as error:
            raise CommandError(_database_sentence(settings, error)) from None

    return transaction


def _database_url(settings: Settings) -> URL:
    try:
        return make_url(settings.resolved_database_url)
    except OSError as error:
        raise CommandError(f"TRIAGE_DATABASE_PASSWORD_FILE cannot be read: {error.strerror}.", MISUSED) from None
    except ArgumentError:
        raise CommandError("TRIAGE_DATABASE_URL is not a database URL; see docs/settings.md.", MISUSED) from None


def _pseudonyms(settings: Settings) -> Pseudonyms | None:
    from worker.services import pseudonyms_for  # it imports the network's engines

    try:
        return pseudonyms_for(settings)
    except OSError as error:
        raise CommandError(f"{settings.pseudonym_key} cannot be used: {error.strerror or error}.") from None


def _check_file(settings: Settings, url: URL) -> None:
    """Refuse to go on without the file: opening SQLite would make an empty one."""
    if url.database and not Path(url.database).is_file():
        raise CommandError(
            f"There is no database at {url.database}. TRIAGE_HOME is {settings.home}: "
            "set it to the worker's folder, or start the worker once, which makes it."
        )


def _database_sentence(settings: Settings, error: DBAPIError) -> str:
    said = str(error.orig).strip().partition("\n")[0]
    if any(words in said for words in MISSING_TABLE):
        return f"The database has another schema ({said}): start the worker of this version once, which migrates it."
    where = "TRIAGE_DATABASE_URL" if settings.database_url else f"TRIAGE_HOME {settings.home}"
    return f"The database does not answer: {said} (see {where})."
