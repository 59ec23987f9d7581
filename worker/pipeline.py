"""The stages, which rows each takes, and who follows whom.

inbox ─▶ file claimed ─intake─▶ file read ─▶ study collecting ─analyse─▶ analysed ─report─▶ rendered ─deliver─▶ reported
                          └────▶ file rejecting ─reject─▶ rejected                                  └─▶ worklist page

A message on the broker says only "there is work for this stage". Whoever receives it claims rows that are due, rings
the stage again if more are due (so every idle process joins in), moves each row on in a transaction of its own, and
rings the next stages. A lost message costs one sweep, a killed worker one lease.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from worker.store.claims import ClaimableTable
from worker.store.models import Chore, ChoreState, FileState, ScanFile, Study, StudyState


class Queue(StrEnum):
    """Celery queues; `-Q` gives a worker some of them."""

    INTAKE = "intake"
    INFERENCE = "inference"
    REPORTS = "reports"


@dataclass(frozen=True)
class Stage:
    """One step of the way.

    Attributes:
        name: also the name of its Celery task, `worker.NAME`.
        queue: where its messages go.
        table: whose rows it takes.
        takes: rows in this state.
        rings: the stages that may have work once this one is done.
    """

    name: str
    queue: Queue
    table: ClaimableTable
    takes: str
    rings: tuple[str, ...] = ()

    @property
    def task_name(self) -> str:
        """Name of the Celery task."""
        return f"worker.{self.name}"


INTAKE = Stage("intake", Queue.INTAKE, ScanFile, FileState.CLAIMED, ("analyse", "reject"))
ANALYSE = Stage("analyse", Queue.INFERENCE, Study, StudyState.COLLECTING, ("report",))
REPORT = Stage("report", Queue.REPORTS, Study, StudyState.ANALYSED, ("deliver",))
DELIVER = Stage("deliver", Queue.REPORTS, Study, StudyState.RENDERED, ("worklist",))
REJECT = Stage("reject", Queue.REPORTS, ScanFile, FileState.REJECTING)
WORKLIST = Stage("worklist", Queue.REPORTS, Chore, ChoreState.DUE)

STAGES: dict[str, Stage] = {stage.name: stage for stage in (INTAKE, ANALYSE, REPORT, DELIVER, REJECT, WORKLIST)}

Ring = Callable[[Stage], None]
"""Tells the broker that a stage has work."""
