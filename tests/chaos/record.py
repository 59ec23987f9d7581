"""What the scenarios measured: a line a run, and the table that docs/reliability.md shows."""

import csv
import fcntl
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

RECORD = "CHAOS_RECORD"
"""Names a CSV file to which every run adds a line; docs/reliability.md is made from one."""


@dataclass(frozen=True)
class Run:
    """One line of the record.

    Attributes:
        scenario: what was done, in words.
        deployment: `embedded` or `Redis + Postgres`.
        files: how many were dropped.
        lost: those of them with no final outcome, or with more than one row.
        doubled: reports beyond one for each revision of a study.
        findings: what else the audit named.
        recovery_seconds: from the end of the damage, or when a worker was ready again, until all was done.
    """

    scenario: str
    deployment: str
    files: int
    lost: int
    doubled: int
    findings: int
    recovery_seconds: float


def record(run: Run) -> None:
    """Add a line to the record, if one is kept."""
    if RECORD not in os.environ:
        return
    path = Path(os.environ[RECORD])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as table:
        fcntl.flock(table, fcntl.LOCK_EX)  # pytest may run several scenarios at a time
        is_new = table.seek(0, os.SEEK_END) == 0
        writer = csv.DictWriter(table, [column.name for column in fields(Run)], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(asdict(run) | {"recovery_seconds": f"{run.recovery_seconds:.1f}"})


def read_record(lines: Iterable[str]) -> list[Run]:
    """The runs of a record."""
    return [
        Run(
            row["scenario"], row["deployment"], *(int(row[name]) for name in ("files", "lost", "doubled", "findings")),
            recovery_seconds=float(row["recovery_seconds"]),
        )
        for row in csv.DictReader(lines)
    ]  # fmt: skip


def fault_table(runs: Iterable[Run]) -> str:
    """A row for each scenario and deployment, in the order of their first runs, and one for all."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.scenario, run.deployment), []).append(run)
    everything = [run for group in groups.values() for run in group]
    titles = ["scenario", "deployment", "runs", "files", "lost", "doubled", "other findings", "seconds to recover"]
    rows = [[*names, *_sums(group)] for names, group in groups.items()]
    if everything:
        rows.append([f"all {len(rows)}", "", *_sums(everything)])
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows)) + "\n"


def _sums(runs: list[Run]) -> list[str]:
    totals = [
        len(runs),
        *(sum(getattr(run, name) for run in runs) for name in ("files", "lost", "doubled", "findings")),
    ]
    seconds = [run.recovery_seconds for run in runs]
    return [*map(str, totals), f"{median(seconds):.0f} (at most {max(seconds):.0f})"]
