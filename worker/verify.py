"""Do database, store and outbox agree? The audit behind `python -m worker verify`.

A worker may run meanwhile: the database is looked at first and the disk afterwards, and what is on the disk alone
counts only once it is older than any work in hand.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.runtime.bundle import file_sha256
from worker.delivered import Delivered
from worker.findings import Finding, Trouble
from worker.inbox_files import claimed_file, is_ignored
from worker.outbox import PARTS, REASON_FILE, REJECTED_FOLDER, REPORTS_FOLDER, rejected_folder, returned_name
from worker.settings import Settings
from worker.store.audit import FileRow, Snapshot
from worker.store.models import UNFINISHED_FILES, UNFINISHED_STUDIES, FileState, StudyState
from worker.store.objects import ObjectStore
from worker.store.reports import is_delivered

HOUR = 3600.0
"""Younger things on the disk may be work in hand."""
OWN_REPORT = re.compile(r"([0-9a-f]{12})-r[0-9]+\.pdf")
OWN_PART = re.compile(r"\.[0-9a-f]+\.part")
"""What others write beside under another name is theirs, and may have a patient's name in it."""


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
        checks = (self._files(), self._studies(), self._reports(), self._store(), self._claims(), self._outbox())
        findings = {finding for check in checks for finding in check} | set(self._left_overs())
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
                yield Finding(trouble, f"file {row.id}")

    def _trouble_of(self, row: FileRow) -> Trouble | None:
        if row.state in UNFINISHED_FILES:
            return None if self._has_bytes(row) else Trouble.BYTES_MISSING
        if row.state == FileState.DUPLICATE:
            known = self.snapshot.instances.get(row.sha256 or "")
            return None if known is not None and known == row.study_id else Trouble.DUPLICATE_OF_NOTHING
        if row.state == FileState.REJECTED:
            return None if self._is_returned(row) else Trouble.REJECTION_INCOMPLETE
        if row.state == FileState.READ:
            belongs = row.study_id in self.snapshot.studies and row.id in self.snapshot.instance_files
            return None if belongs or row.id in self.snapshot.archives else Trouble.READ_WITHOUT_STUDY
        return None if row.state == FileState.LEFT_OUT else Trouble.UNKNOWN_STATE

    def _has_bytes(self, row: FileRow) -> bool:
        """Who was read has them in the store, which `_store` looks at; others where they were claimed."""
        return row.sha256 is not None or claimed_file(self.settings.claimed, row.claim_id) is not None

    def _is_returned(self, row: FileRow) -> bool:
        size = self._delivered.size_bytes(_returned_path(row))
        if size is None or not self._delivered.has(f"{rejected_folder(row.id)}/{REASON_FILE}"):
            return False
        return row.size_bytes is None or size == row.size_bytes

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

    def _reports(self) -> Iterator[Finding]:
        for row in self.snapshot.reports:
            study = self.snapshot.studies[row.study_id]
            if not is_delivered(study, row.revision):
                continue
            if not self._delivered.has(row.path):
                yield Finding(Trouble.REPORT_MISSING, row.path)
            elif self.sums and self._delivered.sha256(row.path) != row.sha256:
                yield Finding(Trouble.REPORT_DAMAGED, row.path)

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

    def _outbox(self) -> Iterator[Finding]:
        named = {row.path for row in self.snapshot.reports}
        for name in self._delivered.names(REPORTS_FOLDER):
            relative = f"{REPORTS_FOLDER}/{name}"
            path = self.settings.outbox / relative
            if path.suffix == ".pdf" and relative not in named and self._is_old(path):
                yield self._orphaned_report(path)
        refused = {
            rejected_folder(row.id): row
            for row in self.snapshot.files
            if row.state in (FileState.REJECTED, FileState.REJECTING)
        }
        for name in self._delivered.names(REJECTED_FOLDER):
            relative = f"{REJECTED_FOLDER}/{name}"
            row = refused.get(relative)
            if row is None and _is_number(name) and int(name) in self.snapshot.purged_files:
                yield Finding(Trouble.PURGE_LEFT_OVER, f"{self.settings.outbox.name}/{relative}")
            elif row is None and not is_ignored(Path(name)) and self._is_old(self.settings.outbox / relative):
                yield Finding(Trouble.REJECTION_ORPHAN, relative if _is_number(name) else REJECTED_FOLDER)
            elif row is not None and row.state == FileState.REJECTED and self._is_damaged(row):
                yield Finding(Trouble.REJECTION_DAMAGED, relative)

    def _orphaned_report(self, path: Path) -> Finding:
        ours = OWN_REPORT.fullmatch(path.name)
        if ours is None:
            # what people put there themselves is nobody's business, and its name may be a patient's
            return Finding(Trouble.REPORT_ORPHAN, REPORTS_FOLDER)
        relative = f"{REPORTS_FOLDER}/{path.name}"
        if ours[1] in self.snapshot.purged_studies:
            return Finding(Trouble.PURGE_LEFT_OVER, f"{self.settings.outbox.name}/{relative}")
        return Finding(Trouble.REPORT_ORPHAN, relative)

    def _is_damaged(self, row: FileRow) -> bool:
        if not self.sums or row.sha256 is None:
            return False
        found = self._delivered.sha256(_returned_path(row))
        return found is not None and found != row.sha256

    def _left_overs(self) -> Iterator[Finding]:
        home, outbox = self.settings.home, self.settings.outbox
        refused = (f"{REJECTED_FOLDER}/{name}" for name in self._delivered.names(REJECTED_FOLDER) if _is_number(name))
        folders = ("", REPORTS_FOLDER, *refused)
        delivered = (outbox / folder / name for folder in folders for name in self._delivered.names(folder))
        for path in (*self.settings.store.glob(PARTS), *delivered):
            if OWN_PART.fullmatch(path.name) and self._is_old(path):
                yield Finding(Trouble.PART_LEFT_OVER, str(path.relative_to(home)))
        waiting = {row.claim_id for row in self.snapshot.files if row.state == FileState.CLAIMED}
        for path in _entries(self.settings.unpacking):
            if path.name not in waiting and self._is_old(path):
                yield Finding(Trouble.UNPACKING_LEFT_OVER, str(path.relative_to(home)))

    def _is_old(self, path: Path) -> bool:
        return is_older(path, self.now, HOUR)

    @property
    def _delivered(self) -> Delivered:
        return Delivered(self.settings.outbox)


def is_older(path: Path | str, now: float, seconds: float, folder: int | None = None) -> bool:
    """Has nothing happened to it for so long? What is gone is not old; what a clock since set back dated ahead is.

    `folder` is the descriptor of an open folder that `path` is relative to.
    """
    try:
        return abs(now - os.stat(path, dir_fd=folder, follow_symlinks=False).st_mtime) > seconds
    except FileNotFoundError:
        return False


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _returned_path(row: FileRow) -> str:
    """Where the rejected file lies beside its reason, and perhaps beside other people's files."""
    return f"{rejected_folder(row.id)}/{returned_name(row.original_name)}"


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
