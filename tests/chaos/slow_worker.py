"""`celery -A tests.chaos.slow_worker worker`: the worker, with analyses that outlast Redis' visibility timeout.

Every message that it is handed leaves a line, `task id, worker`, in the file that `SLOW_WORKER_MESSAGES` names.
"""

import os
import time
from pathlib import Path
from typing import Any

from celery import signals

from worker import stage_runner
from worker.celery import app
from worker.pipeline import STAGES
from worker.services import Services
from worker.store.claims import Claim

ANALYSIS_SECONDS = 4.0
VISIBILITY = {
    "visibility_timeout": 1,
    # kombu looks for messages that nobody acknowledged every 100 s by default, which no test here lasts
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}

app.conf.broker_transport_options = app.conf.broker_transport_options | VISIBILITY
for stage in STAGES.values():
    app.tasks[stage.task_name].acks_late = True  # they are made when the settings are read


@signals.task_received.connect(weak=False)
def note_message(request: Any, **_: Any) -> None:
    """Write down who was handed which message; appending a short line is one write."""
    with Path(os.environ["SLOW_WORKER_MESSAGES"]).open("a") as messages:
        messages.write(f"{request.id}, {os.getpid()}\n")


analyse = stage_runner.STEPS["analyse"]


def analyse_slowly(services: Services, claim: Claim) -> None:
    """Far longer than the visibility timeout."""
    time.sleep(ANALYSIS_SECONDS)
    analyse(services, claim)


stage_runner.STEPS["analyse"] = analyse_slowly
