"""Studies are read again, with today's model and settings, as a new revision that supersedes the one reported.

As with `retry`, the sweep of a running worker finds them, so no broker is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from trainer.runtime.bundle import ModelFolderError, read_manifest
from worker.cli.failure import CommandError
from worker.settings import Settings, version_numbers
from worker.store import queries
from worker.store.chores import want_worklist
from worker.store.models import Study, StudyState


class Answer(StrEnum):
    """What became of a wish to read a study again."""

    OPENED = "opened"
    WAITING = "waiting"
    IN_WORK = "in work"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True)
class Reprocessing:
    """How many studies are due anew, and how many were waiting to be read already."""

    opened: int
    waiting: int


def reprocess_named(session: Session, public_ids: Sequence[str]) -> Reprocessing:
    """Let these studies be read again: all of them, or none.

    Raises:
        CommandError: one does not exist, has failed, or is in work.
    """
    studies = [_study(session, public_id) for public_id in dict.fromkeys(public_ids)]
    answers = []
    for study in studies:
        answer = _reprocess(session, study.id)
        if answer is Answer.GONE:
            raise CommandError(f"Study {study.public_id} was purged at this moment.")
        if answer is Answer.IN_WORK:
            raise CommandError(
                f"Study {study.public_id} is in work (its state is {study.state}): wait until it is reported."
            )
        if answer is Answer.FAILED:
            raise CommandError(f"Study {study.public_id} has failed: `python -m worker retry` reads it again.")
        answers.append(answer)
    return Reprocessing(answers.count(Answer.OPENED), answers.count(Answer.WAITING))


def reprocess_all(session: Session) -> Reprocessing:
    """Let every reported study be read again, the newest first; what is not reported yet goes on as it is."""
    return _reprocess_those(session, lambda _: True)


def reprocess_older(session: Session, settings: Settings) -> Reprocessing:
    """The same for those that an older model read than the one of these settings.

    Raises:
        CommandError: that model cannot be used.
    """
    try:
        today = version_numbers(read_manifest(settings.model_folder).version)
    except (FileNotFoundError, ModelFolderError) as error:
        raise CommandError(f"The model cannot be used: {error}") from None
    return _reprocess_those(session, lambda study: version_numbers(study.results[-1].model_version) < today)


def _reprocess_those(session: Session, wanted: Callable[[Study], bool]) -> Reprocessing:
    answers = [_reprocess(session, study.id) for study in queries.reported_studies(session) if wanted(study)]
    return Reprocessing(answers.count(Answer.OPENED), answers.count(Answer.WAITING))


def _study(session: Session, public_id: str) -> Study:
    study = queries.study_by_public_id(session, public_id)
    if study is None:
        raise CommandError(f"There is no study {public_id!r}; `python -m worker worklist` lists those there are.")
    return study


def _reprocess(session: Session, study_id: int) -> Answer:
    """Open a revision unless somebody works on the study; one that nobody has begun to read is read so anyway."""
    study = session.get(Study, study_id, with_for_update=True, populate_existing=True)
    now = datetime.now(UTC)
    if study is None:
        return Answer.GONE
    if study.state == StudyState.FAILED:
        return Answer.FAILED
    if study.state != StudyState.REPORTED:
        is_held = study.lease_until is not None and study.lease_until >= now
        return Answer.IN_WORK if is_held or study.state != StudyState.COLLECTING else Answer.WAITING
    queries.open_revision(session, study, now)
    queries.record(session, "reprocess", now, study.id, detail=f"revision {study.revision}")
    study.state, study.rank, study.not_before = StudyState.COLLECTING, queries.READ_AGAIN_RANK, now
    study.attempts = study.crashes = 0
    want_worklist(session, now)
    return Answer.OPENED
