"""Stored bytes that vanished. Nobody waits for them for ever: an attempt is spent, as if the row had met a bug."""

import logging
from collections.abc import Iterable

from worker.domain import InstanceHeader
from worker.errors import TransientError
from worker.pipeline import DELIVER, Stage
from worker.selection import choose, chosen_headers
from worker.services import Services
from worker.steps.disk import disk_trouble_is_transient
from worker.steps.headers import headers_of
from worker.store import queries
from worker.store.claims import Claim, release
from worker.store.models import ScanFile, Study

logger = logging.getLogger(__name__)

LOST_IMAGE = (
    "An image of the study is no longer in the store: restore the store from a backup or send the study again, "
    "then `retry` it."
)
LOST_REPORT = "The report is no longer in the store: `retry` the study, which makes it anew."
LOST_FILE = "The file itself is no longer in the store: send it again, or restore the store from a backup."


def is_any_image_lost(services: Services, study: Study) -> bool:
    """Is one of the images that are read gone from the store?

    Raises:
        TransientError: the store does not answer.
    """
    return is_any_instance_lost(services, chosen_headers(choose(headers_of(study), services.settings.max_series)))


def is_any_instance_lost(services: Services, headers: Iterable[InstanceHeader]) -> bool:
    """Is one of these instances gone from the store?

    Raises:
        TransientError: the store does not answer.
    """
    return is_any_object_lost(services, {header.sha256 for header in headers})


def is_any_object_lost(services: Services, sums: Iterable[str]) -> bool:
    """Is one of these objects gone from a store that is there?

    Raises:
        TransientError: the store does not answer.
    """
    with disk_trouble_is_transient("store"):
        return any(services.objects.has_lost(sha256) for sha256 in sums)


def is_file_lost(services: Services, row: ScanFile) -> bool:
    """Was the file stored, and is it gone from the store?

    Raises:
        TransientError: the store does not answer.
    """
    return row.sha256 is not None and is_any_object_lost(services, [row.sha256])


def loss_sentence(services: Services, stage: Stage, study_id: int) -> str | None:
    """Why the study is given up: its bytes are lost. `None` where they are not, or the store does not answer."""
    with services.session.begin() as session:
        (study,) = queries.whole_studies(session, [study_id])
    try:
        if stage is not DELIVER:
            return LOST_IMAGE if is_any_image_lost(services, study) else None
        reports = {report.sha256 for report in study.reports if report.revision == study.revision}
        return LOST_REPORT if is_any_object_lost(services, reports) else None
    except TransientError:
        return None


def spend_attempt(services: Services, stage: Stage, claim: Claim, row_id: int) -> None:
    """Let go of a row whose bytes are lost; after the last attempt it is given up (`worker.steps.give_up`)."""
    logger.error("%s of row %d: its bytes are no longer in the store (attempt %d)", stage.name, row_id, claim.attempts)
    with services.session.begin() as session:
        release(session, stage.table, claim, row_id, services.now(), crashed=True)
