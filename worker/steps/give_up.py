"""Rows that used up their attempts: a file is rejected, a study failed, upkeep starts over."""

import logging

from worker.errors import Reason
from worker.pipeline import INTAKE, REJECT, Stage
from worker.services import Services
from worker.store.chores import want_worklist
from worker.store.claims import Claim, move, release
from worker.store.models import FileState, StudyState
from worker.store.queries import record

logger = logging.getLogger(__name__)


def give_up(services: Services, stage: Stage, claim: Claim) -> None:
    """Stop trying, say so, and keep everything: nothing is deleted."""
    attempts = services.settings.max_attempts
    logger.error("%s row %s is given up after %d attempts", stage.name, list(claim.ids), attempts)
    now = services.now()
    with services.session.begin() as session:
        for row_id in claim.ids:
            if stage is INTAKE:
                message = f"The file could not be read within the limits in {attempts} attempts; check it by hand."
                moved = move(
                    session,
                    stage.table,
                    row_id,
                    claim.token,
                    stage.takes,
                    state=FileState.REJECTING,
                    reason=Reason.TIMEOUT,
                    message=message,
                )
                if moved:
                    record(session, "given_up", now, file_id=row_id, detail=stage.name)
            elif stage is not REJECT and stage.takes in set(StudyState):
                failure = f"{stage.name} failed in {attempts} attempts; see the worker's log, then `retry` the study."
                moved = move(
                    session, stage.table, row_id, claim.token, stage.takes, state=StudyState.FAILED, failure=failure
                )
                if moved:
                    record(session, "failed", now, study_id=row_id, detail=stage.name)
                    want_worklist(session, now)
            else:
                # delivery and upkeep have nothing to give up for: the disk will be writable again one day
                release(session, stage.table, claim, row_id, now)
