"""Everything the database says about files, as plain records: one consistent look, for `worker.verify`."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.store.chores import WORKLIST_CHORE
from worker.store.models import Chore, ChoreState, Event, Instance, Report, ScanFile, Study
from worker.store.purge import purged_files, purged_studies


@dataclass(frozen=True)
class FileRow:
    """What became of one file; the name is patient data."""

    id: int
    claim_id: str
    original_name: str
    state: str
    sha256: str | None
    size_bytes: int | None
    study_id: int | None


@dataclass(frozen=True)
class StudyRow:
    """A study and its current revision."""

    id: int
    public_id: str
    state: str
    revision: int


@dataclass(frozen=True)
class ReportRow:
    """The report of one revision; `path` is relative to the outbox."""

    study_id: int
    revision: int
    sha256: str
    path: str


@dataclass(frozen=True)
class Snapshot:
    """The database at one moment.

    Attributes:
        files: all of them.
        studies: by row id.
        reports: of all revisions.
        instances: sha256 of every instance, and the row id of its study.
        instance_files: row ids of the files that became instances.
        archives: row ids of the files that were unpacked.
        announcements: how often each revision (row id of the study, number) was reported.
        page_due: the worklist page is going to be written again.
        purged_studies: public ids of studies whose rows were removed on purpose.
        purged_files: row ids of files likewise.
    """

    files: tuple[FileRow, ...]
    studies: dict[int, StudyRow]
    reports: tuple[ReportRow, ...]
    instances: dict[str, int]
    instance_files: frozenset[int]
    archives: frozenset[int]
    announcements: Counter[tuple[int | None, str | None]]
    page_due: bool
    purged_studies: frozenset[str]
    purged_files: frozenset[int]

    @property
    def objects(self) -> frozenset[str]:
        """The sums of everything that must be in the store."""
        of_files = {row.sha256 for row in self.files if row.sha256 is not None}
        return frozenset(of_files | self.instances.keys() | {row.sha256 for row in self.reports})


def take_snapshot(session: Session) -> Snapshot:
    """Read it all; the session must not have asked anything yet, so that all answers are of the same moment."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    reported = select(Event.study_id, Event.detail, func.count()).where(Event.kind == "reported")
    unpacked = select(Event.file_id).where(Event.kind == "unpacked", Event.file_id.is_not(None))
    due = select(Chore.id).where(Chore.name == WORKLIST_CHORE, Chore.state == ChoreState.DUE)
    return Snapshot(
        files=_files(session),
        studies={
            row.id: StudyRow(row.id, row.public_id, row.state, row.revision)
            for row in session.execute(select(Study.id, Study.public_id, Study.state, Study.revision))
        },
        reports=tuple(
            ReportRow(row.study_id, row.revision, row.sha256, row.path)
            for row in session.execute(select(Report.study_id, Report.revision, Report.sha256, Report.path))
        ),
        instances={row.sha256: row.study_id for row in session.execute(select(Instance.sha256, Instance.study_id))},
        instance_files=frozenset(session.scalars(select(Instance.file_id))),
        archives=frozenset(row for row in session.scalars(unpacked) if row is not None),
        announcements=Counter(
            {
                (study_id, detail): count
                for study_id, detail, count in session.execute(reported.group_by(Event.study_id, Event.detail))
            }
        ),
        page_due=session.scalar(due) is not None,
        purged_studies=purged_studies(session),
        purged_files=purged_files(session),
    )


def _files(session: Session) -> tuple[FileRow, ...]:
    columns = (
        ScanFile.id,
        ScanFile.claim_id,
        ScanFile.original_name,
        ScanFile.state,
        ScanFile.sha256,
        ScanFile.size_bytes,
        ScanFile.study_id,
    )
    return tuple(FileRow(*row) for row in session.execute(select(*columns).order_by(ScanFile.id)))
