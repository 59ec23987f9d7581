"""The Celery tasks, one a stage; all they do is visit it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from celery import Task

from worker.pipeline import STAGES, Stage
from worker.stage_runner import run_stage

if TYPE_CHECKING:
    from worker.app import TriageApp


def register_tasks(app: "TriageApp") -> None:
    """Give the app a task for every stage."""
    for stage in STAGES.values():
        app.task(name=stage.task_name, shared=False, bind=True)(_visit(app, stage))


def _visit(app: "TriageApp", stage: Stage) -> Callable[[Task], int]:
    def visit(task: Task) -> int:
        return run_stage(stage, app.services, app.ring, task.request.id)

    visit.__name__ = stage.name
    visit.__doc__ = f"Take due rows through the stage {stage.name!r}."
    return visit
