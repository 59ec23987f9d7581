"""When everything out of an archive has been read, its studies are complete: nothing more can come."""

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from worker.store.models import FileState, ScanFile, Study, StudyState


def complete_archive(session: Session, archive_id: int, now: datetime) -> None:
    """Make the studies of an archive due at once if none of its members is still to be read; call it for each."""
    session.flush()
    # whoever reads the other last member meanwhile waits here, so that one of both sees that nothing is left
    session.get_one(ScanFile, archive_id, with_for_update=True)
    waiting = exists().where(ScanFile.archive_id == archive_id, ScanFile.state == FileState.CLAIMED)
    if session.scalar(select(waiting)):
        return
    # those of duplicates may still arrive by other ways
    studies = select(ScanFile.study_id).where(ScanFile.archive_id == archive_id, ScanFile.state == FileState.READ)
    session.execute(
        update(Study)
        .where(Study.id.in_(studies), Study.state == StudyState.COLLECTING)
        .values(not_before=now, incomplete=False)
        .execution_options(synchronize_session=False)
    )
