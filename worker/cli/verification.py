"""What `verify` does: one look at the database, one at the disk, and what differs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import typer

from worker.cli.opening import open_database, open_transactions
from worker.findings import Finding
from worker.redeliver import Redelivery
from worker.settings import Settings
from worker.store.audit import Snapshot, take_snapshot
from worker.store.chores import want_worklist
from worker.verify import Audit, Auditor
from worker.verify_page import page_findings
from worker.verify_repair import repair


@dataclass(frozen=True)
class Verification:
    """Field names are those of the JSON contract.

    Attributes:
        clean: nothing is wrong, or nothing any more.
        files: how many have which outcome.
        objects: how many stored objects were looked at.
        findings: what is wrong.
        repaired: those among them that were put right.
    """

    clean: bool
    files: dict[str, int]
    objects: int
    findings: tuple[Finding, ...]
    repaired: tuple[Finding, ...]


def verify(settings: Settings, *, sums: bool = False, put_right: bool = False) -> Verification:
    """Audit a TRIAGE_HOME, whether or not a worker runs on it.

    A scan may move on between the look at the database and the look at the disk: what is found once is looked for
    again, and counts when it is still there.

    Raises:
        CommandError: the database is not there or does not answer.
    """
    snapshot, audit, findings = _look(settings, sums=sums)
    if findings:
        before = set(findings)
        snapshot, audit, findings = _look(settings, sums=sums)
        findings = tuple(finding for finding in findings if finding in before)
    repaired = _repair(settings, snapshot, findings) if put_right and findings else ()
    return Verification(len(findings) == len(repaired), audit.outcomes, audit.objects, findings, repaired)


def _look(settings: Settings, *, sums: bool) -> tuple[Snapshot, Audit, tuple[Finding, ...]]:
    now = datetime.now(UTC)
    with open_database(settings) as session:
        snapshot = take_snapshot(session)
        pages = page_findings(session, settings, snapshot, now)
    audit: Audit = Auditor(settings, snapshot, time.time(), sums=sums).audit()
    return snapshot, audit, (*audit.findings, *pages)


def _repair(settings: Settings, snapshot: Snapshot, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    transaction = open_transactions(settings, write=True)

    def want_page() -> None:
        with transaction() as session:
            want_worklist(session, datetime.now(UTC))

    deliver_again = Redelivery(settings, snapshot, transaction)
    return tuple(repair(settings, findings, time.time(), want_page, deliver_again))


def print_verification(found: Verification) -> None:
    """A line for each finding, and one for the whole."""
    for finding in found.findings:
        typer.echo(f"{finding.sentence}{' Repaired.' if finding in found.repaired else ''}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in found.files.items() if count)
    typer.echo(f"Files: {counts or 'none'}; {found.objects} stored objects; {len(found.findings)} findings.")
