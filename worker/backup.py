"""A copy of everything a worker knows, made while it works: the database as it is at one moment, and the bytes of it.

The database is copied first, and then exactly the files that its rows name: stored bytes and delivered reports never
change, so they are still there. Only the bytes of a file that waited to be stored may have moved on since; they are
where the row now says they are. Files still in the inbox have no row, and are in no backup. The copy is a TRIAGE_HOME.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, make_url, select
from sqlalchemy.orm import Session

from worker.folders import make_folders
from worker.inbox_files import claimed_file, is_regular
from worker.outbox import INDEX_NAME, rejected_folder, returned_files, returned_name
from worker.settings import DATABASE_FILE, Settings
from worker.steps.worklist import render_page
from worker.store.audit import FileRow, Snapshot, take_snapshot
from worker.store.away import missing_store
from worker.store.models import UNFINISHED_FILES, FileState, ScanFile
from worker.store.objects import PRIVATE_FILE, ObjectStore
from worker.store.reports import is_delivered
from worker.store.session import Transaction, open_engine, session_factory

DUMP_FILE = "triage.sql"


class BackupError(Exception):
    """There is no backup: one sentence."""


@dataclass(frozen=True)
class Backup:
    """Field names are those of the JSON contract.

    Attributes:
        target: where it is.
        files: rows of files in it.
        studies: rows of studies in it.
        copied: files that were copied.
        missing: files that rows name and that were nowhere; `verify` names them.
    """

    target: str
    files: int
    studies: int
    copied: int
    missing: int


def back_up(settings: Settings, target: Path, transaction: Transaction) -> Backup:
    """Copy database, store, outbox and claimed files of a TRIAGE_HOME to a new folder.

    Raises:
        BackupError: the target is not a new place, the store is away, or `pg_dump` is missing or fails.
        OSError: the target cannot be written.
    """
    _check_target(settings, target)
    missing = missing_store(ObjectStore(settings.store), transaction)
    if missing is not None:
        raise BackupError(" ".join(missing))
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    there = settings.model_copy(update={"home": part})
    make_folders(there)
    try:
        with _copied_database(settings, there, transaction) as session:
            snapshot = take_snapshot(session) if settings.database_url is None else _dumped(session, settings, there)
            (there.outbox / INDEX_NAME).write_text(render_page(session, settings, datetime.now(UTC)))
        copying = _Copying(settings, there, snapshot, transaction)
        copying.copy()
        os.sync()
        if target.is_dir():
            target.rmdir()
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Backup(str(target), len(snapshot.files), len(snapshot.studies), copying.copied, copying.missing)


def _check_target(settings: Settings, target: Path) -> None:
    if target.resolve().is_relative_to(settings.home.resolve()):
        raise BackupError(f"{target} is within TRIAGE_HOME: name a folder elsewhere, best on another disk.")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise BackupError(f"{target} is there already: name a new folder for each backup.")


@contextmanager
def _copied_database(settings: Settings, there: Settings, transaction: Transaction) -> Iterator[Session]:
    """A session on what the backup says: on the copy of an SQLite database, in a transaction of a Postgres."""
    if settings.database_url is not None:
        with transaction() as session:
            yield session
        return
    copy = there.home / DATABASE_FILE
    with closing(sqlite3.connect(settings.home / DATABASE_FILE, isolation_level=None, timeout=30)) as live:
        live.execute("VACUUM INTO ?", (str(copy),))
    with session_factory(open_engine(f"sqlite:///{copy}", read_only=True)).begin() as session:
        yield session


def _dumped(session: Session, settings: Settings, there: Settings) -> Snapshot:
    """Rows and dump of one moment: `pg_dump` reads what this transaction sees."""
    snapshot = take_snapshot(session)
    moment = session.scalar(select(func.pg_export_snapshot()))
    program = shutil.which("pg_dump")
    if program is None:
        raise BackupError("There is no pg_dump on PATH: install the PostgreSQL client of the server's version.")
    url = make_url(settings.resolved_database_url)
    # a password on the command line would be in every process list
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    place = url.set(drivername="postgresql")._replace(password=None).render_as_string(hide_password=False)
    dump = there.home / DUMP_FILE
    dump.touch(PRIVATE_FILE)
    options = ["--no-owner", "--no-privileges", f"--snapshot={moment}", f"--file={dump}", f"--dbname={place}"]
    done = subprocess.run([program, *options], env=os.environ | password, capture_output=True, text=True, check=False)  # noqa: S603  found on PATH, our own options
    if done.returncode:
        raise BackupError(f"pg_dump failed: {' '.join(done.stderr.split())}")
    return snapshot


@dataclass
class _Copying:
    """The files of a snapshot, one after the other."""

    settings: Settings
    there: Settings
    snapshot: Snapshot
    transaction: Transaction
    copied: int = field(default=0, init=False)
    missing: int = field(default=0, init=False)

    def copy(self) -> None:
        """What waits first: it moves on."""
        for row in self.snapshot.files:
            if row.state in UNFINISHED_FILES and row.sha256 is None:
                self._count(self._waiting(row))
        store, there = ObjectStore(self.settings.store), ObjectStore(self.there.store)
        for sha256 in self.snapshot.objects:
            self._count(_copy(store.path_of(sha256), there.path_of(sha256)))
        for report in self.snapshot.reports:
            if is_delivered(self.snapshot.studies[report.study_id], report.revision):
                self._count(_copy(self.settings.outbox / report.path, self.there.outbox / report.path))
        for row in self.snapshot.files:
            if row.state == FileState.REJECTED:
                self._returned(row)
        for path in self.settings.home.iterdir():  # such as the key of pseudonyms
            if path.is_file() and not path.name.startswith((DATABASE_FILE, ".")):
                self._count(_copy(path, self.there.home / path.name))

    def _count(self, is_copied: bool) -> None:
        self.copied += is_copied
        self.missing += not is_copied

    def _waiting(self, row: FileRow) -> bool:
        """Bytes that were claimed and not stored at the moment of the snapshot, wherever they are by now.

        A claimed copy goes only after the row says where the bytes are.
        """
        target = self.there.claimed / row.claim_id / "scan"
        claimed = claimed_file(self.settings.claimed, row.claim_id)
        if claimed is not None and _copy(claimed, target):
            return True
        with self.transaction() as session:
            sha256 = session.scalar(select(ScanFile.sha256).where(ScanFile.id == row.id))
        if sha256 is not None:
            return _copy(ObjectStore(self.settings.store).path_of(sha256), target)
        returned = self.settings.outbox / rejected_folder(row.id) / returned_name(row.original_name)
        return _copy(returned, target)

    def _returned(self, row: FileRow) -> None:
        folder = rejected_folder(row.id)
        found = returned_files(self.settings.outbox / folder)
        for path in found:
            self._count(_copy(path, self.there.outbox / folder / path.name))
        if not found:
            self._count(is_copied=False)


def _copy(source: Path, target: Path) -> bool:
    """Bytes, permissions and times of a file; a link or a pipe, which only others can have put there, is let be."""
    if not is_regular(source):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.parent.is_dir():
        shutil.copymode(source.parent, target.parent)
    try:
        shutil.copy2(source, target, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
