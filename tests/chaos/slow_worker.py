"""`celery -A tests.chaos.slow_worker worker`: the worker, with analyses that outlast Redis' visibility timeout."""

import time

from worker import stage_runner
from worker.celery import app
from worker.services import Services
from worker.store.claims import Claim

VISIBILITY_SECONDS = 1
ANALYSIS_SECONDS = 4.0

app.conf.broker_transport_options = app.conf.broker_transport_options | {"visibility_timeout": VISIBILITY_SECONDS}
app.conf.task_acks_late = True

analyse = stage_runner.STEPS["analyse"]


def analyse_slowly(services: Services, claim: Claim) -> None:
    """Longer than a lease too, which is renewed meanwhile."""
    time.sleep(ANALYSIS_SECONDS)
    analyse(services, claim)


stage_runner.STEPS["analyse"] = analyse_slowly
