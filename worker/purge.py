"""Retention: finished work that is old goes, first its rows, then the files that nothing names any more.

Crash-safe by its order: what a row names has its file at every moment, and files whose rows are gone are waste that
the next purge removes, or `verify --repair`. Safe beside a running worker: see `worker.store.purge`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time

from sqlalchemy.orm import Session

from worker.findings import Trouble
from worker.settings import Settings
from worker.store import purge as rows
from worker.store.audit import take_snapshot
from worker.store.session import Transaction
from worker.verify import Auditor
from worker.verify_repair import repair

WASTE = frozenset({Trouble.OBJECT_ORPHAN, Trouble.PURGE_LEFT_OVER})


@dataclass(frozen=True)
class Purge:
    """Field names are those of the JSON contract.

    Attributes:
        done: False when this only says what would go.
        studies: reported studies, with their files, duplicates, answers and reports.
        archives: unpacked archives of which nothing else is kept; those of the studies count once these are gone.
        rejected: rejected files.
        removed: files that were removed from the disk.
    """

    done: bool
    studies: int
    archives: int
    rejected: int
    removed: int = 0


def what_would_go(transaction: Transaction, before: datetime, *, with_rejected: bool) -> Purge:
    """Count what `purge` would remove."""
    with transaction() as session:
        rejected = rows.old_rejected(session, before) if with_rejected else []
        return Purge(
            done=False,
            studies=len(rows.old_studies(session, before)),
            archives=len(rows.old_archives(session, before)),
            rejected=len(rejected),
        )


def purge(settings: Settings, transaction: Transaction, before: datetime, *, with_rejected: bool) -> Purge:
    """Remove what was finished before that."""
    studies = _forget(transaction, rows.old_studies, rows.forget_study, before)
    rejected = _forget(transaction, rows.old_rejected, rows.forget_rejected, before) if with_rejected else 0
    archives = _forget(transaction, rows.old_archives, rows.forget_archive, before)
    return Purge(True, studies, archives, rejected, _remove_waste(settings, transaction))


def _forget(
    transaction: Transaction,
    find: Callable[[Session, datetime], Sequence[int]],
    forget: Callable[[Session, int, datetime, datetime], object],
    before: datetime,
) -> int:
    """One row after the other, each in a transaction of its own, until none is left: an archive may free another."""
    count = 0
    while True:
        with transaction() as session:
            found = find(session, before)
        gone = sum(_forget_one(transaction, forget, row_id, before) for row_id in found)
        count += gone
        if not gone:
            return count


def _forget_one(
    transaction: Transaction,
    forget: Callable[[Session, int, datetime, datetime], object],
    row_id: int,
    before: datetime,
) -> bool:
    with transaction() as session:
        rows.overwrite_what_is_deleted(session)
        return bool(forget(session, row_id, before, datetime.now(UTC)))


def _remove_waste(settings: Settings, transaction: Transaction) -> int:
    with transaction() as session:
        snapshot = take_snapshot(session)
    findings = Auditor(settings, snapshot, time()).audit().findings
    waste = [finding for finding in findings if finding.trouble in WASTE]
    return len(repair(settings, waste, time(), lambda: None, lambda _: False))
