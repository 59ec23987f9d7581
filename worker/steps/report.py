"""From an analysed study to its PDF, kept in the store until it is delivered."""

from collections.abc import Sequence
from functools import partial
from io import BytesIO

from reports.annotate import thumbnail_jpeg
from reports.pdf import PageSize, render_pdf
from trainer.runtime.bundle import ModelBundle
from worker.errors import TransientError
from worker.outbox import report_path
from worker.pipeline import REPORT
from worker.report_content import report_content
from worker.selection import choose, chosen_headers
from worker.services import Services
from worker.steps.disk import disk_trouble_is_transient
from worker.steps.headers import headers_of
from worker.steps.lost import is_any_image_lost, spend_attempt
from worker.steps.pixels import stored_pixels
from worker.store import queries
from worker.store.claims import Claim, move
from worker.store.models import ScanFile, Study, StudyState
from worker.store.reports import add_report
from worker.studies import series_ranges


def render_reports(services: Services, claim: Claim) -> None:
    """Render, store and commit the report of each claimed study."""
    with services.session.begin() as session:
        studies = queries.whole_studies(session, claim.ids)
        rejected = {study.id: queries.rejected_files(session, study.study_uid) for study in studies}
    bundle = services.bundle
    for study in studies:
        if study.state != REPORT.takes:  # a late slice has reopened it since it was claimed
            continue
        try:
            _render(services, claim, study, bundle, rejected[study.id])
        except TransientError:
            if not is_any_image_lost(services, study):
                raise
            spend_attempt(services, REPORT, claim, study.id)


def _render(services: Services, claim: Claim, study: Study, bundle: ModelBundle, rejected: Sequence[ScanFile]) -> None:
    now = services.now()
    choices = choose(headers_of(study), services.settings.max_series)
    pixels = partial(stored_pixels, services, series_ranges(chosen_headers(choices)))
    content = report_content(study, choices, bundle, pixels, now, rejected)
    pdf = render_pdf(content, PageSize[services.settings.page_format.name])
    thumbnail = thumbnail_jpeg(content.key_images[0]) if content.key_images else None
    with disk_trouble_is_transient("report"):
        sha256, _ = services.objects.put(BytesIO(pdf))
    with services.session.begin() as session:
        if move(session, Study, study.id, claim.token, REPORT.takes, state=StudyState.RENDERED, not_before=now):
            path = report_path(study.public_id, study.revision)
            add_report(session, study, sha256, path, thumbnail, now)
            queries.record(session, "rendered", now, study.id)
