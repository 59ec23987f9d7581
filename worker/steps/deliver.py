"""Into the outbox: reports of studies, and rejected files with their reason. Announced only when on disk."""

import logging
import shutil

from worker.inbox_files import claimed_file, drop_empty_claim, forget_claim
from worker.outbox import REASON_FILE, Outbox, outbox_of, reason_text, rejected_folder, report_path, returned_name
from worker.pipeline import DELIVER, REJECT
from worker.services import Services
from worker.steps.disk import disk_trouble_is_transient
from worker.steps.lost import LOST_FILE, is_any_object_lost, is_file_lost, spend_attempt
from worker.store import queries
from worker.store.chores import want_worklist
from worker.store.claims import Claim, move
from worker.store.models import FileState, Report, ScanFile, Study, StudyState
from worker.store.reports import RenderedReport, delivered_report, rendered_reports

logger = logging.getLogger(__name__)


def deliver_reports(services: Services, claim: Claim) -> None:
    """Copy each rendered PDF to the outbox and mark its study reported; one log line a study."""
    outbox = outbox_of(services.settings)
    with services.session.begin() as session:
        reports = rendered_reports(session, claim.ids)
    for rendered in reports:
        study = rendered.study
        if is_any_object_lost(services, [rendered.report.sha256]):
            spend_attempt(services, DELIVER, claim, study.id)
            continue
        with disk_trouble_is_transient("report"), services.objects.path_of(rendered.report.sha256).open("rb") as pdf:
            outbox.deliver_stream(report_path(study.public_id, study.revision), pdf)
        if not _announce(services, claim, rendered):
            _deliver_newer(services, outbox, rendered.report)


def _deliver_newer(services: Services, outbox: Outbox, late: Report) -> None:
    """Put a newer report of the same revision back, if `late` was written over one.

    A late slice makes the report of a revision anew, while the process with the older one may have stood still.
    """
    with services.session.begin() as session:
        newer = delivered_report(session, late.study_id, late.revision)
        if newer is not None and newer.sha256 != late.sha256:
            with disk_trouble_is_transient("report"), services.objects.path_of(newer.sha256).open("rb") as pdf:
                outbox.deliver_stream(newer.path, pdf)


def _announce(services: Services, claim: Claim, rendered: RenderedReport) -> bool:
    """Say that it is reported; False when the study is no longer ours to report."""
    now, study = services.now(), rendered.study
    with services.session.begin() as session:
        moved = move(session, Study, study.id, claim.token, DELIVER.takes, state=StudyState.REPORTED, reported_at=now)
        if not moved:
            return False
        queries.record(session, "reported", now, study.id, detail=f"revision {study.revision}")
        want_worklist(session, now)
    seconds = (now - study.waiting_since).total_seconds()
    logger.info(
        "study %s revision %d reported: %s, %d image(s), %.1f s after it arrived",
        study.public_id,
        study.revision,
        study.priority,
        rendered.images,
        seconds,
    )
    return True


def _return_bytes(services: Services, outbox: Outbox, row: ScanFile, relative: str) -> bool:
    """Deliver the bytes of a rejected file; False when there are none, since it was not stored and vanished."""
    if row.sha256 is not None:
        with services.objects.path_of(row.sha256).open("rb") as content:
            outbox.deliver_stream(relative, content)
        return True
    # refused before it was stored: too large, or not readable by us; renamed as it is
    path = claimed_file(services.settings.claimed, row.claim_id)
    if path is None:
        return False
    outbox.deliver_file(relative, path)
    return True


def deliver_rejected(services: Services, claim: Claim) -> None:
    """Give each rejected file back, byte for byte, with its reason beside it; of lost bytes the reason alone."""
    outbox = outbox_of(services.settings)
    with services.session.begin() as session:
        rows = queries.files(session, claim.ids)
    for row in rows:
        is_lost = is_file_lost(services, row)
        if is_lost and claim.crashes < services.settings.max_attempts:
            spend_attempt(services, REJECT, claim, row.id)
            continue
        folder = rejected_folder(row.id)
        message = f"{row.message} {LOST_FILE}" if is_lost else row.message
        with disk_trouble_is_transient("rejected file"):
            returned = not is_lost and _return_bytes(
                services, outbox, row, f"{folder}/{returned_name(row.original_name)}"
            )
            outbox.deliver_bytes(f"{folder}/{REASON_FILE}", reason_text(row.reason, message))
        now = services.now()
        with services.session.begin() as session:
            if move(session, ScanFile, row.id, claim.token, REJECT.takes, state=FileState.REJECTED, message=message):
                queries.record(session, "returned", now, file_id=row.id)
        if returned:
            forget_claim(services.settings.claimed, row.claim_id)
        else:  # what was not to be seen may be there again by now, and is the only copy
            drop_empty_claim(services.settings.claimed, row.claim_id)
        # an archive that killed its processes left what it was unpacked to
        shutil.rmtree(services.settings.unpacking / row.claim_id, ignore_errors=True)
        logger.info("file %d rejected: %s", row.id, row.reason)
