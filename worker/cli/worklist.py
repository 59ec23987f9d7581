"""Rows of `worklist`: one a study, in the order in which people should look at them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from reports.content import WorklistEntry
from worker.domain import Priority
from worker.steps.worklist import worklist_entries


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
    return [_row(entry, outbox) for entry in worklist_entries(session)]


def _row(entry: WorklistEntry, outbox: Path) -> WorklistRow:
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
