"""What a killed child leaves behind: the row in hand waits for its lease, the others of its claim wait no longer.

Celery notices in the parent that a child is gone, and whose task it was. The row in hand is the likely culprit and
keeps its lease, so that whatever killed the child (memory, for one) has time to pass before it is tried again.
"""

import logging
from typing import TYPE_CHECKING, Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import signals
from sqlalchemy.exc import OperationalError

from worker.pipeline import STAGES
from worker.store.claims import let_go_of_others

if TYPE_CHECKING:
    from worker.app import TriageApp

logger = logging.getLogger(__name__)


def free_what_lost_children_held(app: "TriageApp") -> None:
    """From now on, whenever a child of this worker is killed."""
    stages = {stage.task_name: stage for stage in STAGES.values()}

    @signals.task_failure.connect(weak=False)
    def _free(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
        if sender.app is not app or not isinstance(exception, WorkerLostError | TimeLimitExceeded):
            return
        stage = stages.get(sender.name)
        if stage is None:  # Celery has tasks of its own
            return
        try:
            with app.services.parent_work, app.services.session.begin() as session:
                freed = let_go_of_others(session, stage.table, task_id)
        except OperationalError as error:
            logger.warning("a lost claim waits for its lease: %s", type(error.orig).__name__)
            return
        if freed:
            app.ring(stage)
