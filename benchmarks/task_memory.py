"""Memory of a worker's processes over many tasks: does it grow? (see benchmarks/README.md)."""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.system.deployment import Deployment, Worker
from tests.worker.scans import png
from worker.store.models import Event

AHEAD = 50
"""Scans that wait at most: the worker is never idle, and what waits does not count."""
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Look:
    """Tasks done so far, and resident memory then: of the parent, and of the largest child, MiB."""

    tasks: int
    parent_mib: float
    child_mib: float


def resident_mib(process: int) -> float:
    """Resident memory of a process, Linux only; 0 of one that is gone."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def measure(deployment: Deployment, tasks: int, looks: int) -> list[Look]:
    """Give one worker scans until so many tasks are done; a task is a row that one stage moved on."""
    worker = deployment.start()
    found, dropped = [], 0
    while len(found) < looks:
        done, reported = _events(deployment)
        while dropped < reported + AHEAD:
            deployment.drop(f"{dropped}.png", png(dropped))
            dropped += 1
        if done >= tasks * (len(found) + 1) // looks:
            found.append(_look(worker, done))
        time.sleep(LOOK_SECONDS)
    return found


def _events(deployment: Deployment) -> tuple[int, int]:
    with deployment.sessions.begin() as session:
        return session.query(Event).count(), session.query(Event).filter_by(kind="reported").count()


def _look(worker: Worker, tasks: int) -> Look:
    return Look(tasks, resident_mib(worker.process.pid), max(resident_mib(child) for child in worker.children))


def main() -> None:
    """Measure, print the table and by how much the child grew from the first look to the last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000, metavar="N")
    parser.add_argument("--looks", type=int, default=10, metavar="N")
    arguments = parser.parse_args()
    settings = {"TRIAGE_CLAIM_SIZE": "1", "TRIAGE_CONCURRENCY": "1", "TRIAGE_ENGINE": "openvino-int8"}
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder) / "home", settings)
        try:
            found = measure(deployment, arguments.tasks, arguments.looks)
        finally:
            deployment.close()
    table = Table(title=f"one worker, one child, {os.cpu_count()} cores")
    for column in ("tasks", "parent", "child"):
        table.add_column(column, justify="right")
    for look in found:
        table.add_row(f"{look.tasks:,}", f"{look.parent_mib:.0f} MiB", f"{look.child_mib:.0f} MiB")
    console = Console()
    console.print(table)
    ratio = found[-1].child_mib / found[0].child_mib
    console.print(f"the child after {found[-1].tasks:,} tasks: {ratio:.2f} times that after {found[0].tasks:,}")


if __name__ == "__main__":
    main()
