"""What `verify` does: one look at the database, one at the disk, and what differs."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import typer

from worker.cli.opening import open_database
from worker.findings import Finding
from worker.settings import Settings
from worker.store.audit import take_snapshot
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


def verify(settings: Settings, *, sums: bool = False, repair_waste: bool = False) -> Verification:
    """Audit a TRIAGE_HOME, whether or not a worker runs on it.

    Raises:
        CommandError: the database is not there or does not answer.
    """
    now = datetime.now(UTC)
    with open_database(settings) as session:
        snapshot = take_snapshot(session)
        pages = page_findings(session, settings, snapshot, now)
    audit: Audit = Auditor(settings, snapshot, time.time(), sums=sums).audit()
    findings = (*audit.findings, *pages)
    repaired = tuple(repair(settings, findings, time.time(), lambda: _want_page(settings))) if repair_waste else ()
    return Verification(len(findings) == len(repaired), audit.outcomes, audit.objects, findings, repaired)


def _want_page(settings: Settings) -> None:
    with open_database(settings, write=True) as session:
        want_worklist(session, datetime.now(UTC))


def print_verification(found: Verification) -> None:
    """A line for each finding, and one for the whole."""
    for finding in found.findings:
        typer.echo(f"{finding.sentence}{' Repaired.' if finding in found.repaired else ''}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in found.files.items() if count)
    typer.echo(f"Files: {counts or 'none'}; {found.objects} stored objects; {len(found.findings)} findings.")
