"""One visit to a stage: claim, ring, step, ring on. The same for every stage (worker.pipeline)."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import DBAPIError, OperationalError

from trainer.runtime.bundle import ModelFolderError
from worker.errors import TransientError
from worker.lease import held
from worker.pipeline import STAGES, Ring, Stage
from worker.services import Services
from worker.steps import analyse, deliver, give_up, intake, report, worklist
from worker.store.claims import Claim, any_due, claim_due, release

logger = logging.getLogger(__name__)

RELEASE_EVERY_SECONDS = 1.0
RELEASE_SECONDS = 60.0
"""A database that restarts is back by then."""

Step = Callable[[Services, Claim], None]
"""Works on all rows of a claim, committing row by row.

A step moves a row only with the claim's token, and raises `TransientError` for what may pass; a model folder that is
not whole (`ModelFolderError`) may pass too, since somebody may just be replacing it."""

FEWEST_ATTEMPTS = 2
"""A step that works on several rows at once may have died of another than the first, which is blamed; the second try is
alone."""

STEPS: dict[str, Step] = {
    "intake": intake.take_in,
    "analyse": analyse.analyse_studies,
    "report": report.render_reports,
    "deliver": deliver.deliver_reports,
    "reject": deliver.deliver_rejected,
    "worklist": worklist.write_worklist,
}


def run_stage(stage: Stage, services: Services, ring: Ring, task_id: str | None = None) -> int:
    """Take one claim's worth of due rows through `stage`; returns how many were claimed."""
    try:
        return _visit(stage, services, ring, task_id)
    except OperationalError as error:
        logger.warning("%s: the database does not answer (%s)", stage.name, type(error.orig).__name__)
        return 0


def _visit(stage: Stage, services: Services, ring: Ring, task_id: str | None) -> int:
    now = services.now()
    claim, more = _claim(stage, services, now, task_id)
    if claim is None:
        return 0
    with held(services, stage, claim, now):
        if more:  # a broker that is slow to answer must not cost the lease
            ring(stage)
        used_up = claim.crashes >= max(services.settings.max_attempts, FEWEST_ATTEMPTS)
        if not (used_up and give_up.give_up(services, stage, claim)):
            _work(stage, services, claim)
    for name in stage.rings:
        ring(STAGES[name])
    return len(claim.ids)


def _claim(stage: Stage, services: Services, now: datetime, task_id: str | None) -> tuple[Claim | None, bool]:
    """A claim, and whether more is due."""
    size = services.settings.claim_size
    with services.session.begin() as session:
        claim = claim_due(session, stage.table, stage.takes, size, now, services.lease, task_id)
        return claim, claim is not None and any_due(session, stage.table, stage.takes, now)


def _work(stage: Stage, services: Services, claim: Claim) -> None:
    try:
        STEPS[stage.name](services, claim)
    except (TransientError, OperationalError, ModelFolderError) as error:
        reason = type(error.orig).__name__ if isinstance(error, DBAPIError) else str(error)
        logger.warning("%s is tried again later (attempt %d): %s", stage.name, claim.attempts, reason)
        _release(services, stage, claim)


def _release(services: Services, stage: Stage, claim: Claim) -> None:
    """Let go of what is left of a claim, once the database answers: a row that nobody let go of counts as a crash."""
    end = time.monotonic() + RELEASE_SECONDS
    while True:
        try:
            with services.session.begin() as session:
                for row_id in claim.ids:
                    release(session, stage.table, claim, row_id, services.now())
        except OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(RELEASE_EVERY_SECONDS)
        else:
            return
