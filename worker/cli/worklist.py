"""Rows of `worklist`: one a study, in the order in which people should look at them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from worker.domain import Priority
from worker.steps.worklist import worklist_entry
from worker.store.models import Study
from worker.store.worklist import worklist_studies


@dataclass(frozen=True)
class WorklistRow:
    """One study; field names are those of the JSON contract.

    Attributes:
        study: public id.
        files: original names, patient data.
        label: of the newest revision that was read, `None` before.
        probability: of that label.
        report: the PDF in the outbox, `None` until it is delivered.
    """

    study: str
    files: tuple[str, ...]
    label: str | None
    probability: float | None
    priority: Priority | None
    review_reasons: tuple[str, ...]
    state: str
    revision: int
    received_at: datetime
    reported_at: datetime | None
    report: str | None


def worklist_rows(session: Session, outbox: Path) -> list[WorklistRow]:
    """All studies; report paths are absolute."""
    return [_row(study, outbox) for study in worklist_studies(session)]


def _row(study: Study, outbox: Path) -> WorklistRow:
    entry = worklist_entry(study, with_thumbnail=False)
    return WorklistRow(
        study=entry.study,
        files=entry.files,
        label=entry.label,
        probability=entry.probability,
        priority=entry.priority,
        review_reasons=entry.review_reasons,
        state=entry.state,
        revision=entry.revision,
        received_at=entry.received_at,
        reported_at=entry.reported_at,
        report=str(outbox / entry.report) if entry.report else None,
    )
