"""How far a long analysis is, told to whoever asks for the status."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from sqlalchemy.exc import OperationalError

from worker.domain import SliceFinding
from worker.services import Services
from worker.store.claims import Claim
from worker.store.models import Study
from worker.store.progress import note_progress

logger = logging.getLogger(__name__)

PAUSE = timedelta(seconds=2)
"""Between two notes at least: each is a write to the disk."""


def followed(
    services: Services,
    claim: Claim,
    studies: Mapping[str, Study],
    lengths: Mapping[str, int],
    findings: Iterable[SliceFinding],
) -> Iterator[SliceFinding]:
    """Pass the findings on; note at ends of batches how many slices of each study of several batches are done.

    Args:
        services: whose settings say how long a batch is.
        claim: a study that it no longer holds is left as it is.
        studies: by StudyInstanceUID.
        lengths: slices to be analysed, by StudyInstanceUID.
        findings: of these studies, a batch at a time.
    """
    batch_size = services.settings.batch_size
    long = {study_uid: studies[study_uid].id for study_uid, length in lengths.items() if length > batch_size}
    done = Counter(dict.fromkeys(long, 0))

    def note(study_uid: str) -> None:
        try:
            with services.session.begin() as session:
                note_progress(session, long[study_uid], claim.token, done[study_uid], lengths[study_uid])
        except OperationalError as error:
            # the analysis does not depend on it, and what does will say so
            logger.warning("progress could not be noted: %s", type(error.orig).__name__)

    for study_uid in long:
        note(study_uid)
    due = services.now() + PAUSE
    for finding in findings:
        study_uid = finding.header.study_uid
        done[study_uid] += 1
        if study_uid in long and done.total() % batch_size == 0 and services.now() >= due:
            note(study_uid)
            due = services.now() + PAUSE
        yield finding
