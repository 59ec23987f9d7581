"""What `purge` does: old finished work goes, or is counted."""

from datetime import UTC, datetime, timedelta

from worker.cli.opening import open_transactions
from worker.purge import Purge, purge, what_would_go
from worker.settings import Settings


def purge_home(settings: Settings, days: int, *, with_rejected: bool, dry_run: bool) -> Purge:
    """Purge a TRIAGE_HOME, whether or not a worker runs on it.

    Raises:
        CommandError: the database is not there or does not answer.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    transaction = open_transactions(settings, write=not dry_run)
    if dry_run:
        return what_would_go(transaction, before, with_rejected=with_rejected)
    return purge(settings, transaction, before, with_rejected=with_rejected)


def purge_sentence(found: Purge) -> str:
    """For people."""
    counts = f"{found.studies} studies, {found.archives} archives and {found.rejected} rejected files"
    if found.done:
        return f"Purged {counts}; {found.removed} files removed."
    return f"Would purge {counts}, and the archives of these studies; --yes does it."
