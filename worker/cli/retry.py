"""Failed studies become due again; the sweep of a running worker finds them, so no broker is needed."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from worker.cli.failure import CommandError
from worker.store import queries
from worker.store.chores import want_worklist
from worker.store.models import Study, StudyState


def retry_failed(session: Session) -> int:
    """Let all failed studies be read again; returns how many."""
    return sum(_retry(session, study.id) for study in queries.failed_studies(session))


def retry_one(session: Session, public_id: str) -> int:
    """Let one failed study be read again; returns 1.

    Raises:
        CommandError: there is no such study, or it has not failed.
    """
    study = queries.study_by_public_id(session, public_id)
    if study is None:
        raise CommandError(f"There is no study {public_id!r}; `python -m worker worklist` lists those there are.")
    if not _retry(session, study.id):
        raise CommandError(f"Study {public_id} has not failed: its state is {study.state}.")
    return 1


def _retry(session: Session, study_id: int) -> bool:
    """Back to where it can be taken up, unless a late slice did that meanwhile."""
    study = session.get_one(Study, study_id, with_for_update=True, populate_existing=True)
    if study.state != StudyState.FAILED:
        return False
    now = datetime.now(UTC)
    study.state, study.failure = StudyState.COLLECTING, None
    study.attempts = study.crashes = 0
    study.lease_token, study.lease_until = None, None
    # it waits from now on: the time it lay failed is neither its quiet period nor a wait in the queue
    study.waiting_since, study.not_before = now, now
    queries.record(session, "retried", now, study.id)
    want_worklist(session, now)
    return True
