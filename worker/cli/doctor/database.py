"""Does the database answer, is its schema ours, do its clock and this machine's agree, does work get done?"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.cli.doctor.folders import START_ONCE
from worker.cli.doctor.lines import Line, ok, trouble, warning
from worker.cli.failure import CommandError
from worker.cli.health import stuck_stages
from worker.cli.opening import open_database
from worker.migrate import Schema, schema_of
from worker.pipeline import Queue
from worker.settings import DATABASE_FILE, Settings

DATABASE, CLOCK, WORK = "database", "clock", "work"
SKEW_SECONDS = 1.0


def check_database(settings: Settings) -> Iterator[Line]:
    """One line while it is not there or of another schema, else one for each question."""
    if settings.database_url is None and not (settings.home / DATABASE_FILE).is_file():
        yield warning(DATABASE, "There is no database yet.", START_ONCE)
        return
    try:
        with open_database(settings) as session:
            schema = schema_of(session.connection())
            yield _schema_line(schema)
            if session.get_bind().dialect.name == "postgresql":
                yield _clock_line(session, settings)
            if schema.is_current:
                yield from _work_lines(session, settings)
    except CommandError as error:
        yield trouble(
            DATABASE, error.sentence, "See that it runs, and that TRIAGE_HOME or TRIAGE_DATABASE_URL is right."
        )


def _schema_line(schema: Schema) -> Line:
    newest = schema.known[0]
    if schema.is_current:
        return ok(DATABASE, f"The database answers; its schema is {newest}, the newest.")
    if schema.is_newer:
        sentence = f"The database has schema {schema.found}, and this program knows only up to {newest}: it is older."
        return trouble(DATABASE, sentence, "Start the version of the program that migrated it.")
    sentence = f"The database has schema {schema.found or 'none'}, and this program needs {newest}."
    return warning(DATABASE, sentence, "Make a backup, then start the worker of this version: it migrates.")


def _clock_line(session: Session, settings: Settings) -> Line:
    asked = datetime.now(UTC)
    there: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    skew = abs(there - asked - (datetime.now(UTC) - asked) / 2).total_seconds()
    sentence = f"The clocks of this machine and of the database differ by {skew:.1f} s"
    remedy = "Let NTP set both."
    if skew > settings.lease_seconds / 2:
        return trouble(CLOCK, f"{sentence}, more than half a lease (TRIAGE_LEASE_SECONDS).", remedy)
    return warning(CLOCK, f"{sentence}.", remedy) if skew > SKEW_SECONDS else ok(CLOCK, f"{sentence}.")


def _work_lines(session: Session, settings: Settings) -> Iterator[Line]:
    lease = timedelta(seconds=settings.lease_seconds)
    stuck = stuck_stages(session, frozenset(Queue), datetime.now(UTC), lease)
    for sentence in stuck:
        yield trouble(WORK, sentence, "Start one: `celery -A worker worker`.")
    if not stuck:
        yield ok(WORK, "No work is stuck.")
