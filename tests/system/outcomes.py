"""What became of pictures amid which harm was done."""

import json
from collections import Counter

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from tests.system.deployment import Deployment
from worker.cli.verification import verify
from worker.store.models import Event, Study, StudyState


def studies_by_name(deployment: Deployment) -> dict[str, Study]:
    """Studies of one file each, by its name."""
    with deployment.sessions.begin() as session:
        studies = session.scalars(select(Study).options(selectinload(Study.files))).all()
    return {file.original_name: study for study in studies for file in study.files}


def assert_reported_once(deployment: Deployment, count: int, *, but: str = "") -> None:
    """So many studies, each with one report of one revision, beside the one named. The audit finds nothing."""
    studies = [study for name, study in studies_by_name(deployment).items() if name != but]
    assert [(study.state, study.revision) for study in studies] == [(StudyState.REPORTED, 1)] * count
    with deployment.sessions.begin() as session:
        reported = Counter(session.scalars(select(Event.study_id).where(Event.kind == "reported")))
    assert reported == Counter(study.id for study in studies)
    assert len(deployment.reports()) == count
    assert verify(deployment.settings).findings == ()


def assert_given_up(deployment: Deployment, name: str, attempts: int) -> None:
    """The study of this file failed after so many attempts, and whoever asks is told."""
    study = studies_by_name(deployment)[name]
    with deployment.sessions.begin() as session:
        failures = session.scalars(select(Event.study_id).where(Event.kind == "failed")).all()
    assert failures == [study.id]
    details = json.loads(deployment.ask("show", study.public_id, "--json").stdout)
    assert details["failure"] == f"analyse failed in {attempts} attempts; see the worker's log, then `retry` the study."
    assert (details["state"], details["reports"]) == ("failed", [])
