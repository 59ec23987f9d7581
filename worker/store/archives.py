"""When everything out of an archive has been read, its studies are complete: nothing more can come."""

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from worker.store.models import FileState, ScanFile, Study, StudyState


def complete_archive(session: Session, archive_id: int, now: datetime) -> None:
    """Make the studies of an archive due at once if none of its members is still to be read."""
    session.flush()
    waiting = exists().where(ScanFile.archive_id == archive_id, ScanFile.state == FileState.CLAIMED)
    if session.scalar(select(waiting)):
        return
    studies = select(ScanFile.study_id).where(ScanFile.archive_id == archive_id)
    session.execute(
        update(Study)
        .where(Study.id.in_(studies), Study.state == StudyState.COLLECTING, Study.not_before > now)
        .values(not_before=now)
        .execution_options(synchronize_session=False)
    )
