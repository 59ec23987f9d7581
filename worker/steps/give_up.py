"""Rows that used up their attempts: a file is rejected, a study fails."""

import logging
from datetime import datetime

from sqlalchemy.orm import Session

from worker.errors import Reason, TransientError
from worker.pipeline import ANALYSE, INTAKE, REPORT, Stage
from worker.services import Services
from worker.steps.lost import is_file_lost, loss_sentence
from worker.store.chores import want_worklist
from worker.store.claims import Claim, move
from worker.store.models import FileState, ScanFile, Study, StudyState
from worker.store.queries import record

logger = logging.getLogger(__name__)


def give_up(services: Services, stage: Stage, claim: Claim) -> bool:
    """Stop trying, say so, and keep everything: nothing is deleted.

    Returns:
        False for what is tried for ever: a file not stored yet, a report not delivered yet, upkeep. Only the disk
        stands in their way, and it will have room one day; a report that is lost is given up.
    """
    (row_id,) = claim.ids  # what was tried before is claimed alone
    attempts = services.settings.max_attempts
    now = services.now()
    lost = loss_sentence(services, stage, row_id) if stage.table is Study else None
    vanished = stage is INTAKE and _has_vanished(services, row_id)
    with services.session.begin() as session:
        if stage is INTAKE and session.get_one(ScanFile, row_id).sha256 is not None:
            _reject_file(session, claim, row_id, attempts, now, vanished=vanished)
            return True
        if stage in (ANALYSE, REPORT) or lost is not None:
            failure = (
                lost or f"{stage.name} failed in {attempts} attempts; see the worker's log, then `retry` the study."
            )
            _fail_study(session, stage, claim, row_id, failure, now)
            return True
    return False


def _has_vanished(services: Services, file_id: int) -> bool:
    with services.session.begin() as session:
        row = session.get_one(ScanFile, file_id)
    try:
        return is_file_lost(services, row)
    except TransientError:
        return False


def _reject_file(session: Session, claim: Claim, file_id: int, attempts: int, now: datetime, *, vanished: bool) -> None:
    reason, message = Reason.TIMEOUT, f"The file could not be read within the limits in {attempts} attempts; check it."
    if vanished:
        reason, message = Reason.UNREADABLE, "The file was stored and vanished before it was read."
    rejecting = {"state": FileState.REJECTING, "reason": reason, "message": message}
    if move(session, ScanFile, file_id, claim.token, INTAKE.takes, **rejecting):
        logger.error("file %d is given up after %d attempts", file_id, attempts)
        record(session, "given_up", now, file_id=file_id, detail=INTAKE.name)


def _fail_study(session: Session, stage: Stage, claim: Claim, study_id: int, failure: str, now: datetime) -> None:
    if move(session, Study, study_id, claim.token, stage.takes, state=StudyState.FAILED, failure=failure):
        logger.error("%s of study row %d is given up after %d attempts", stage.name, study_id, claim.attempts)
        record(session, "failed", now, study_id=study_id, detail=stage.name)
        want_worklist(session, now)
