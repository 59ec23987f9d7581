"""Settings that are within their ranges, and still not what somebody meant."""

import os
from collections.abc import Iterator
from difflib import get_close_matches

from worker.cli.doctor.lines import Line, ok, warning
from worker.settings import Settings

SETTINGS = "settings"


def check_settings(settings: Settings) -> Iterator[Line]:
    """A line for the whole, one for each variable that nothing reads, and one for each doubtful combination."""
    known = {f"TRIAGE_{name}".upper() for name in Settings.model_fields}
    given = sorted(name for name in os.environ if name.upper().startswith("TRIAGE_"))
    count = sum(name.upper() in known for name in given)
    yield ok(SETTINGS, f"All {len(known)} settings are within their ranges; {count} of them are set.")
    for name in given:
        if name.upper() not in known:
            alike = get_close_matches(name.upper(), known, 1)
            remedy = f"Did you mean {alike[0]}?" if alike else "Remove it, or see docs/settings.md."
            yield warning(SETTINGS, f"{name} is no setting, and nothing reads it.", remedy)
    if not settings.embedded_broker and settings.database_url is None:
        yield warning(
            SETTINGS,
            "There is a broker server, and the database is SQLite: all workers must run on this machine.",
            "Set TRIAGE_DATABASE_URL to a Postgres for workers on several machines.",
        )
    if settings.embedded_broker and settings.database_url is not None:
        yield warning(
            SETTINGS,
            "There is a database server, and the broker is a folder: one worker alone may use it.",
            "Set TRIAGE_BROKER_URL to a Redis for several workers.",
        )
    for name in settings.exposed_password_files:
        yield warning(SETTINGS, f"The file of {name} can be read by others than its owner.", "chmod 600 that file.")
