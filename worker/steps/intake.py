"""From a claimed file to an instance of a study, or to a refusal with its reason."""

import logging
import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker.domain import ReadInstance
from worker.errors import Reason, RejectedError, TooCostlyError, TransientError
from worker.file_cost import bounded_cost, seconds_for
from worker.inbox_files import claimed_file, forget_claim
from worker.intake.files import open_regular
from worker.intake.identity import Identity, identity_of_rejected
from worker.intake.limits import IntakeLimits
from worker.intake.read import read_instance
from worker.pipeline import INTAKE
from worker.services import Services
from worker.steps.archive import unpack
from worker.steps.disk import disk_trouble_is_transient
from worker.steps.lost import is_file_lost, spend_attempt
from worker.store import queries
from worker.store.archives import complete_archive
from worker.store.chores import want_worklist
from worker.store.claims import Claim, move, release
from worker.store.models import FileState, ScanFile

logger = logging.getLogger(__name__)


def take_in(services: Services, claim: Claim) -> None:
    """Store, read and file every claimed file; each in a transaction of its own.

    Raises:
        TransientError: the disk or the database does not take the file now, or the time of a task is nearly over.
    """
    begun = time.monotonic()
    with services.session.begin() as session:
        rows = queries.files(session, claim.ids)
    for row in rows:
        if not _has_time(services, time.monotonic() - begun):
            raise TransientError("the files before took most of TRIAGE_TASK_TIME_LIMIT_SECONDS")
        try:
            with disk_trouble_is_transient(f"file {row.id}"):
                if is_file_lost(services, row):
                    spend_attempt(services, INTAKE, claim, row.id)
                    continue
                _take_in_one(services, claim, row)
        except TooCostlyError as error:
            logger.error("file %d is not read: %s", row.id, error)  # noqa: TRY400  its trace says nothing more
            with services.session.begin() as session:
                release(session, ScanFile, claim, row.id, services.now(), crashed=True)
        except IntegrityError:
            _refused_by_the_database(services, claim, row)


def _has_time(services: Services, used_seconds: float) -> bool:
    """Could the largest file still be read before the task is killed? It would be blamed for those before it."""
    limits = services.limits
    return used_seconds + seconds_for(limits.max_file_bytes, limits.max_file_seconds) < (
        services.settings.task_time_limit_seconds
    )


def _refused_by_the_database(services: Services, claim: Claim, row: ScanFile) -> None:
    """Let go of a file that another worker may have filed at the same moment: the next try finds that out.

    What is refused again has no such excuse, and counts as a crash, so that it is given up one day.
    """
    tried_before = claim.attempts > 1
    logger.warning("file %d is refused by the database%s", row.id, ", again" if tried_before else "; tried again")
    with services.session.begin() as session:
        release(session, ScanFile, claim, row.id, services.now(), crashed=tried_before)


def _take_in_one(services: Services, claim: Claim, row: ScanFile) -> None:
    try:
        path = _stored(services, claim, row)
        if not unpack(services, claim, row, path):
            _accept(services, claim, row, _read(services, path))
    except RejectedError as error:
        _reject(services, claim, row, error)
    if row.sha256 is not None:
        forget_claim(services.settings.claimed, row.claim_id)


def _read(services: Services, path: Path) -> ReadInstance:
    with bounded_cost(path, services.limits):
        return read_instance(path, path.name, services.limits)


def _stored(services: Services, claim: Claim, row: ScanFile) -> Path:
    """Copy the claimed file into the store, unless an earlier attempt did; its place there, named by its sha256."""
    if row.sha256 is None:
        path = claimed_file(services.settings.claimed, row.claim_id)
        if path is None:
            if claim.attempts > services.settings.max_attempts:
                raise RejectedError(Reason.UNREADABLE, "The file vanished before it could be stored; send it again.")
            raise TransientError(f"file {row.id}: its claimed copy is not there (yet)")
        with open_regular(path) as source:
            size = os.fstat(source.fileno()).st_size
            _refuse_oversized(size, services.limits)
            if not services.has_room(size):
                raise TransientError(f"the disk has no room for file {row.id} (TRIAGE_MIN_FREE_BYTES): make room")
            sha256, stored_size = services.objects.put(source)
        with services.session.begin() as session:
            stored = session.get_one(ScanFile, row.id)
            stored.sha256, stored.size_bytes = sha256, stored_size
        row.sha256 = sha256
    return services.objects.path_of(row.sha256)


def _refuse_oversized(size: int, limits: IntakeLimits) -> None:
    if size > max(limits.max_file_bytes, limits.max_archive_bytes):
        sentence = f"The file has {size >> 20} MiB, more than any scan or archive may have; send single studies."
        raise RejectedError(Reason.TOO_LARGE, sentence)


def _reject(services: Services, claim: Claim, row: ScanFile, error: RejectedError) -> None:
    now = services.now()
    stored = None if row.sha256 is None else services.objects.path_of(row.sha256)
    identity = Identity() if stored is None else _identity(services, stored)
    with services.session.begin() as session:
        moved = move(
            session, ScanFile, row.id, claim.token, INTAKE.takes,
            state=FileState.REJECTING, reason=error.reason, message=error.sentence, not_before=now,
            **queries.part_of(session, identity.study_uid, identity.series_name),
        )  # fmt: skip
        if moved:
            queries.record(session, "rejected", now, file_id=row.id, detail=error.reason)
            _complete_archive_of(session, row, now)


def _identity(services: Services, path: Path) -> Identity:
    with bounded_cost(path, services.limits):
        return identity_of_rejected(path, services.limits)


def _accept(services: Services, claim: Claim, row: ScanFile, read: ReadInstance) -> None:
    """File an instance, or find that it is known.

    Raises:
        RejectedError: `too_large` when its study is full.
    """
    now = services.now()
    settings = services.settings
    with services.session.begin() as session:
        known = queries.instance_with_bytes(session, read.header.sha256)
        if known is not None:
            moved = move(
                session, ScanFile, row.id, claim.token, INTAKE.takes,
                state=FileState.DUPLICATE, reason=Reason.DUPLICATE, study_id=known.study_id,
                message="The same bytes were received before; see the study named here.",
            )  # fmt: skip
            if moved:
                queries.record(session, "duplicate", now, known.study_id, row.id)
                want_worklist(session, now)  # the page names all files of a study
                logger.info("file %d is a duplicate of one of study row %d", row.id, known.study_id)
                _complete_archive_of(session, row, now)
            return
        if queries.has_instances(session, read.header.study_uid, services.limits.max_study_files):
            sentence = (
                f"The study has {services.limits.max_study_files} files already, which is the limit "
                "(TRIAGE_MAX_STUDY_FILES); send fewer of its series."
            )
            raise RejectedError(Reason.TOO_LARGE, sentence)
        if not move(session, ScanFile, row.id, claim.token, INTAKE.takes, state=FileState.READ):
            return
        study = queries.add_instance(
            session, row, read.headers, read.warning, now,
            timedelta(seconds=settings.quiet_seconds), timedelta(seconds=settings.quiet_max_seconds),
        )  # fmt: skip
        session.get_one(ScanFile, row.id).study_id = study.id
        queries.record(session, "received", now, study.id, row.id)
        _complete_archive_of(session, row, now)


def _complete_archive_of(session: Session, row: ScanFile, now: datetime) -> None:
    """When this was the last member of an archive, nothing more comes for its studies."""
    if row.archive_id is not None:
        complete_archive(session, row.archive_id, now)
