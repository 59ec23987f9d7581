"""Do database and outbox agree? The part of an audit that looks where other people write too."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from worker.delivered import Delivered
from worker.file_age import HOUR, is_older
from worker.findings import Finding, Trouble, file_subject
from worker.inbox_files import is_ignored
from worker.outbox import OWN_PART, REASON_FILE, REJECTED_FOLDER, REPORTS_FOLDER, rejected_folder, returned_name
from worker.settings import Settings
from worker.store.audit import FileRow, Snapshot
from worker.store.models import FileState
from worker.store.reports import is_delivered

OWN_REPORT = re.compile(r"([0-9a-f]{12})-r[0-9]+\.pdf")
"""What others put beside under another name is theirs, and may have a patient's name in it."""


@dataclass(frozen=True)
class OutboxAuditor:
    """Compares one look at the database with the outbox; `now` and `sums` as for `worker.verify.Auditor`."""

    settings: Settings
    snapshot: Snapshot
    now: float
    sums: bool

    def findings(self) -> Iterator[Finding]:
        """Look at everything but the worklist page: what rows name, then what lies there."""
        yield from self._delivered_reports()
        yield from self._returned_files()
        yield from self._reports_folder()
        yield from self._rejected_folder()
        yield from self._parts()

    def _delivered_reports(self) -> Iterator[Finding]:
        for row in self.snapshot.reports:
            study = self.snapshot.studies[row.study_id]
            if not is_delivered(study, row.revision):
                continue
            if not self._delivered.has(row.path):
                yield Finding(Trouble.REPORT_MISSING, row.path)
            elif self.sums and self._delivered.sha256(row.path) != row.sha256:
                yield Finding(Trouble.REPORT_DAMAGED, row.path)

    def _returned_files(self) -> Iterator[Finding]:
        for row in self.snapshot.files:
            if row.state != FileState.REJECTED:
                continue
            if not self._is_returned(row):
                yield Finding(Trouble.REJECTION_INCOMPLETE, file_subject(row.id))
            if self._is_damaged(row):
                yield Finding(Trouble.REJECTION_DAMAGED, rejected_folder(row.id))

    def _is_returned(self, row: FileRow) -> bool:
        size = self._delivered.size_bytes(_returned_path(row))
        if size is None or not self._delivered.has(f"{rejected_folder(row.id)}/{REASON_FILE}"):
            return False
        return row.size_bytes is None or size == row.size_bytes

    def _is_damaged(self, row: FileRow) -> bool:
        if not self.sums or row.sha256 is None:
            return False
        found = self._delivered.sha256(_returned_path(row))
        return found is not None and found != row.sha256

    def _reports_folder(self) -> Iterator[Finding]:
        named = {row.path for row in self.snapshot.reports}
        for name in self._delivered.names(REPORTS_FOLDER):
            relative = f"{REPORTS_FOLDER}/{name}"
            path = self.settings.outbox / relative
            if path.suffix == ".pdf" and relative not in named and self._is_old(path):
                yield self._orphaned_report(path)

    def _orphaned_report(self, path: Path) -> Finding:
        ours = OWN_REPORT.fullmatch(path.name)
        if ours is None:
            # what people put there themselves is nobody's business, and its name may be a patient's
            return Finding(Trouble.REPORT_ORPHAN, REPORTS_FOLDER)
        relative = f"{REPORTS_FOLDER}/{path.name}"
        if ours[1] in self.snapshot.purged_studies:
            return Finding(Trouble.PURGE_LEFT_OVER, f"{self.settings.outbox.name}/{relative}")
        return Finding(Trouble.REPORT_ORPHAN, relative)

    def _rejected_folder(self) -> Iterator[Finding]:
        refused = (FileState.REJECTED, FileState.REJECTING)
        named = {rejected_folder(row.id) for row in self.snapshot.files if row.state in refused}
        for name in self._delivered.names(REJECTED_FOLDER):
            relative = f"{REJECTED_FOLDER}/{name}"
            if relative in named:
                continue
            if _is_number(name) and int(name) in self.snapshot.purged_files:
                yield Finding(Trouble.PURGE_LEFT_OVER, f"{self.settings.outbox.name}/{relative}")
            elif not is_ignored(Path(name)) and self._is_old(self.settings.outbox / relative):
                yield Finding(Trouble.REJECTION_ORPHAN, relative if _is_number(name) else REJECTED_FOLDER)

    def _parts(self) -> Iterator[Finding]:
        refused = (f"{REJECTED_FOLDER}/{name}" for name in self._delivered.names(REJECTED_FOLDER) if _is_number(name))
        for folder in ("", REPORTS_FOLDER, *refused):
            for name in self._delivered.names(folder):
                path = self.settings.outbox / folder / name
                if OWN_PART.fullmatch(name) and self._is_old(path):
                    yield Finding(Trouble.PART_LEFT_OVER, str(path.relative_to(self.settings.home)))

    def _is_old(self, path: Path) -> bool:
        return is_older(path, self.now, HOUR)

    @cached_property
    def _delivered(self) -> Delivered:
        return Delivered(self.settings.outbox)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _returned_path(row: FileRow) -> str:
    """Where the rejected file lies beside its reason, and perhaps beside other people's files."""
    return f"{rejected_folder(row.id)}/{returned_name(row.original_name)}"
