"""Do database, store and outbox agree? The audit behind `python -m worker verify`.

A worker may run meanwhile: the database is looked at first and the disk afterwards, and what is on the disk alone
counts only once it is older than any work in hand.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.runtime.bundle import file_sha256
from worker.file_age import HOUR, is_older
from worker.findings import Finding, Trouble, file_subject
from worker.inbox_files import claimed_file
from worker.outbox import OWN_PART, PARTS
from worker.settings import Settings
from worker.store.audit import FileRow, Snapshot
from worker.store.models import UNFINISHED_FILES, UNFINISHED_STUDIES, FileState, StudyState
from worker.store.objects import ObjectStore
from worker.verify_outbox import OutboxAuditor


@dataclass(frozen=True)
class Audit:
    """The result; field names are those of the JSON contract.

    Attributes:
        outcomes: how many files are reported, rejected, duplicate, unpacked, failed or waiting.
        objects: how many stored objects were looked at.
        findings: what is wrong, sorted.
    """

    outcomes: dict[str, int]
    objects: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Auditor:
    """Compares one look at the database with the disk; `now` is in epoch seconds, `sums` reads every byte."""

    settings: Settings
    snapshot: Snapshot
    now: float
    sums: bool = False

    def audit(self) -> Audit:
        """Look at everything but the worklist page."""
        outcomes = Counter({"reported": 0, "rejected": 0, "duplicate": 0, "unpacked": 0, "failed": 0, "waiting": 0})
        outcomes.update(self._outcome(row) for row in self.snapshot.files)
        outbox = OutboxAuditor(self.settings, self.snapshot, self.now, self.sums)
        checks = (self._files(), self._studies(), self._store(), self._claims(), self._unpacking(), outbox.findings())
        findings = {finding for check in checks for finding in check}
        return Audit(dict(outcomes), len(self.snapshot.objects), tuple(sorted(findings)))

    def _outcome(self, row: FileRow) -> str:
        if row.state in UNFINISHED_FILES:
            return "waiting"
        if row.state in (FileState.REJECTED, FileState.DUPLICATE):
            return str(row.state)
        study = self.snapshot.studies.get(row.study_id or 0)
        if study is None:
            return "unpacked"
        return "waiting" if study.state in UNFINISHED_STUDIES else study.state

    def _files(self) -> Iterator[Finding]:
        for row in self.snapshot.files:
            trouble = self._trouble_of(row)
            if trouble is not None:
                yield Finding(trouble, file_subject(row.id))

    def _trouble_of(self, row: FileRow) -> Trouble | None:
        if row.state in UNFINISHED_FILES:
            return None if self._has_bytes(row) else Trouble.BYTES_MISSING
        if row.state == FileState.DUPLICATE:
            known = self.snapshot.instances.get(row.sha256 or "")
            return None if known is not None and known == row.study_id else Trouble.DUPLICATE_OF_NOTHING
        if row.state == FileState.READ:
            belongs = row.study_id in self.snapshot.studies and row.id in self.snapshot.instance_files
            return None if belongs or row.id in self.snapshot.archives else Trouble.READ_WITHOUT_STUDY
        # `worker.verify_outbox` looks for what was rejected
        return None if row.state in (FileState.LEFT_OUT, FileState.REJECTED) else Trouble.UNKNOWN_STATE

    def _has_bytes(self, row: FileRow) -> bool:
        """Who was read has them in the store, which `_store` looks at; others where they were claimed."""
        return row.sha256 is not None or claimed_file(self.settings.claimed, row.claim_id) is not None

    def _studies(self) -> Iterator[Finding]:
        with_images = set(self.snapshot.instances.values())
        reported = {(row.study_id, row.revision) for row in self.snapshot.reports}
        states = set(StudyState)
        for study in self.snapshot.studies.values():
            subject = f"study {study.public_id}"
            if study.state not in states:
                yield Finding(Trouble.UNKNOWN_STATE, subject)
            if study.id not in with_images:
                yield Finding(Trouble.STUDY_WITHOUT_IMAGE, subject)
            if study.state == StudyState.REPORTED and (study.id, study.revision) not in reported:
                yield Finding(Trouble.NO_REPORT, subject)
        for (study_id, _), count in self.snapshot.announcements.items():
            reported_study = self.snapshot.studies.get(study_id or 0)  # events outlive what was purged
            if reported_study is not None and count > 1:
                yield Finding(Trouble.REPORTED_TWICE, f"study {reported_study.public_id}")

    def _store(self) -> Iterator[Finding]:
        wanted, store = self.snapshot.objects, ObjectStore(self.settings.store)
        for sha256 in wanted:
            path = store.path_of(sha256)
            if not path.is_file():
                yield Finding(Trouble.OBJECT_MISSING, f"store/{sha256}")
            elif self.sums and file_sha256(path) != sha256:
                yield Finding(Trouble.OBJECT_DAMAGED, f"store/{sha256}")
        for path in self.settings.store.glob("??/*"):
            if path.name not in wanted and self._is_old(path):
                yield Finding(Trouble.OBJECT_ORPHAN, f"store/{path.parent.name}/{path.name}")
        for path in self.settings.store.glob(PARTS):
            if OWN_PART.fullmatch(path.name) and self._is_old(path):
                yield Finding(Trouble.PART_LEFT_OVER, f"store/{path.name}")

    def _claims(self) -> Iterator[Finding]:
        rows = {row.claim_id: row for row in self.snapshot.files}
        for folder in _entries(self.settings.claimed):
            row = rows.get(folder.name)
            if not self._is_old(folder):
                continue
            if row is None:
                yield Finding(Trouble.CLAIM_ORPHAN, f"inbox/.claimed/{folder.name}")
            elif row.state != FileState.CLAIMED and row.sha256 is not None:
                yield Finding(Trouble.CLAIM_LEFT_OVER, f"inbox/.claimed/{folder.name}")

    def _unpacking(self) -> Iterator[Finding]:
        waiting = {row.claim_id for row in self.snapshot.files if row.state == FileState.CLAIMED}
        for path in _entries(self.settings.unpacking):
            if path.name not in waiting and self._is_old(path):
                yield Finding(Trouble.UNPACKING_LEFT_OVER, str(path.relative_to(self.settings.home)))

    def _is_old(self, path: Path) -> bool:
        return is_older(path, self.now, HOUR)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
