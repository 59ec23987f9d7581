"""The worklist page, made from the database: one writer at a time, at most once a second."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from reports.content import Priority, WorklistEntry
from reports.worklist import render_worklist
from worker.outbox import INDEX_NAME, outbox_of
from worker.services import Services
from worker.settings import Settings
from worker.steps.disk import disk_trouble_is_transient
from worker.store.chores import finish_worklist
from worker.store.claims import Claim
from worker.store.models import Chore, Study
from worker.store.reports import is_delivered
from worker.store.worklist import file_names, worklist_studies, worklist_totals

PAUSE = timedelta(seconds=1)
THUMBNAILS_SHOWN = 200


def write_worklist(services: Services, claim: Claim) -> None:
    """Render and deliver the page; what changes meanwhile makes it due again."""
    now = services.now()
    with services.session.begin() as session:
        wanted = session.get_one(Chore, claim.ids[0]).wanted
        page = render_page(session, services.settings, now)
    with disk_trouble_is_transient("worklist"):
        outbox_of(services.settings).deliver_bytes(INDEX_NAME, page.encode())
    with services.session.begin() as session:
        finish_worklist(session, claim.token, wanted, services.now(), PAUSE)


def render_page(session: Session, settings: Settings, now: datetime) -> str:
    """The page as it is at `now`: the same rows give the same page."""
    entries = worklist_entries(session, settings.worklist_size, thumbnails=THUMBNAILS_SHOWN)
    return render_worklist(entries, now, worklist_totals(session))


def worklist_entries(session: Session, limit: int | None = None, *, thumbnails: int = 0) -> list[WorklistEntry]:
    """The worklist's rows, in its order; the first so many with their thumbnails."""
    studies = worklist_studies(session, limit, thumbnails=thumbnails > 0)
    names = file_names(session, limit)
    return [
        _entry(study, names.get(study.id, ()), with_thumbnail=row < thumbnails) for row, study in enumerate(studies)
    ]


def _entry(study: Study, files: tuple[str, ...], *, with_thumbnail: bool) -> WorklistEntry:
    """One row: the newest revision's answer, and its report once it is delivered."""
    result = next((row for row in reversed(study.results)), None)
    report = next((row for row in reversed(study.reports) if is_delivered(study, row.revision)), None)
    return WorklistEntry(
        study=study.public_id,
        patient=study.patient_name,
        files=files,
        priority=Priority(result.priority) if result else None,
        label=result.label if result else None,
        probability=max(result.probabilities) if result else None,
        review_reasons=tuple(result.review_reasons) if result else (),
        state=study.state,
        revision=study.revision,
        received_at=study.received_at,
        reported_at=study.reported_at,
        report=report.path if report else None,
        thumbnail_jpeg=report.thumbnail_jpeg if report and with_thumbnail else None,
    )
