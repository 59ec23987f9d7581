"""What is missing or damaged in the outbox, delivered again from the store."""

from dataclasses import dataclass
from functools import cached_property

from trainer.runtime.bundle import file_sha256
from worker.delivered import Delivered
from worker.findings import Finding, Trouble, file_subject
from worker.outbox import REASON_FILE, outbox_of, reason_text, rejected_folder, returned_name
from worker.settings import Settings
from worker.store.audit import ReportRow, Snapshot
from worker.store.models import FileState, ScanFile
from worker.store.objects import ObjectStore
from worker.store.reports import delivered_report
from worker.store.session import Transaction


@dataclass(frozen=True)
class Redelivery:
    """Puts right what an audit of `snapshot` found in the outbox; again is the same as once.

    Beside a running worker each row is read again and kept locked until its bytes are there: what is purged at the same
    moment would else come back.
    """

    settings: Settings
    snapshot: Snapshot
    transaction: Transaction

    def __call__(self, finding: Finding) -> bool:
        """Is it right now? What the store does not have, or the outbox does not take, is for a person."""
        try:
            if finding.trouble in (Trouble.REPORT_MISSING, Trouble.REPORT_DAMAGED):
                return self._report(self._reports[finding.subject])
            if finding.trouble in (Trouble.REJECTION_INCOMPLETE, Trouble.REJECTION_DAMAGED):
                return self._rejected(self._file_ids[finding.subject])
        except OSError:
            pass  # a full disk, or a link in the way
        return False

    @cached_property
    def _reports(self) -> dict[str, ReportRow]:
        """By the subjects of findings."""
        return {row.path: row for row in self.snapshot.reports}

    @cached_property
    def _file_ids(self) -> dict[str, int]:
        """By the subjects of findings: of the row, and of the folder of what was rejected."""
        subjects = (file_subject, rejected_folder)
        return {subject(row.id): row.id for row in self.snapshot.files for subject in subjects}

    def _report(self, row: ReportRow) -> bool:
        with self.transaction() as session:
            report = delivered_report(session, row.study_id, row.revision)
            return report is not None and self._deliver(report.path, report.sha256)

    def _rejected(self, file_id: int) -> bool:
        with self.transaction() as session:
            row = session.get(ScanFile, file_id, with_for_update=True)
            if row is None or row.state != FileState.REJECTED:
                return False
            folder = rejected_folder(file_id)
            returned = f"{folder}/{returned_name(row.original_name)}"
            if row.sha256 is None:  # refused before it was stored: the outbox has the only copy
                if not Delivered(self.settings.outbox).has(returned):
                    return False
            elif not self._deliver(returned, row.sha256):
                return False
            outbox_of(self.settings).deliver_bytes(f"{folder}/{REASON_FILE}", reason_text(row.reason, row.message))
            return True

    def _deliver(self, relative: str, sha256: str) -> bool:
        path = ObjectStore(self.settings.store).path_of(sha256)
        if file_sha256(path) != sha256:
            return False
        with path.open("rb") as content:
            outbox_of(self.settings).deliver_stream(relative, content)
        return True
