"""Everything that `../shared/make_hostile.py` writes, through a real worker, amid scans that are as they should be."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.system.deployment import REPOSITORY, Deployment, wait_until
from tests.system.pauses import MOST_PAUSE_SECONDS, longest_pause
from tests.worker.scans import png
from worker.cli.verification import verify
from worker.inbox_files import list_inbox
from worker.store.models import Event, FileState, ScanFile, Study, StudyState

SHARED = Path(os.environ.get("TRIAGE_SHARED", REPOSITORY.parent / "shared"))
RECORD = "HOSTILE_RECORD"
"""Names a file for the figures of docs/limits.md (`make hostile`)."""
GOOD = 20
DONE_SECONDS = 240.0
MEMORY_MARGIN_KB = 500_000
"""A child is replaced after the task that took it over its limit, not in the middle."""

IGNORED, REPORTED, REJECTED, DUPLICATE, UNPACKED = "ignored", "reported", "rejected", "duplicate", "unpacked"
AGREE = {
    "accept": {REPORTED, DUPLICATE},  # some have the same bytes; what they are duplicates of was reported
    "reject": {REJECTED},
    "ignore": {IGNORED},
    "any": {IGNORED, REPORTED, REJECTED, DUPLICATE, UNPACKED},
}
DEVIATIONS = {"names/README": {REJECTED}, "names/notes.txt": {REJECTED}}
"""Why: docs/limits.md."""
if os.geteuid() == 0:
    DEVIATIONS["special/unreadable.dcm"] = {REPORTED, DUPLICATE}  # nothing is unreadable for root


@dataclass(frozen=True)
class Figures:
    """One run, as docs/limits.md shows it.

    Attributes:
        inputs: hostile inputs; every one became what it should, or a documented deviation.
        deviations: how many of those.
        outcomes: how many became what.
        good: scans in between, all reported.
        processes_lost: children that died.
        longest_block_seconds: between one file taken in and the next while some waited.
        slowest_good_seconds: from a good file's claim to its report, with waiting its turn.
        most_memory_mib: resident, of any child.
        seconds: all of it.
    """

    inputs: int
    deviations: int
    outcomes: dict[str, int]
    good: int
    processes_lost: int
    longest_block_seconds: float
    slowest_good_seconds: float
    most_memory_mib: int
    seconds: float


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """The folder, on the inbox's file system so that it can be moved in whole."""
    script, dicom = SHARED / "make_hostile.py", SHARED / "dicom" / "series-t1-axial" / "N2D_0179.dcm"
    jpeg = next((SHARED / "data" / "kaggle-val").rglob("*.jpg"), None)
    if not script.exists() or jpeg is None:
        pytest.skip(f"no shared data at {SHARED}; set TRIAGE_SHARED")
    folder = tmp_path / "hostile"
    options: list[str | Path] = ["--dicom", dicom, "--jpeg", jpeg, "--with-special"]
    subprocess.run([sys.executable, "-W", "ignore", script, folder, *options], check=True, stdout=subprocess.DEVNULL)
    return folder


def expectations(folder: Path) -> dict[str, str]:
    """Outcome of each input; without folders, and without what this file system did not take."""
    table = folder / "expected.csv"
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    table.unlink()
    return {name: outcome for name, outcome in expected.items() if not (folder / name).is_dir()}


def outcomes(deployment: Deployment, below: str) -> dict[str, str]:
    """What became of each file under a folder of the inbox."""
    with deployment.sessions.begin() as session:
        studies = {study.id: study.state for study in session.query(Study)}
        found = {}
        for row in session.query(ScanFile).filter(ScanFile.original_name.startswith(below)):
            found[row.original_name.removeprefix(below)] = outcome_of(row, studies)
    return found


def outcome_of(row: ScanFile, studies: dict[int, str]) -> str:
    """One file's; anything unexpected in words of its own."""
    if row.state == FileState.REJECTED:
        return REJECTED if row.reason and row.message else "rejected without a reason"
    if row.study_id is None:
        return UNPACKED if row.state == FileState.READ else row.state
    if studies[row.study_id] != StudyState.REPORTED:
        return f"study {studies[row.study_id]}"
    return DUPLICATE if row.state == FileState.DUPLICATE else REPORTED


def slowest(deployment: Deployment, prefix: str) -> float:
    """Seconds from the claim of a good file to its report, at most."""
    with deployment.sessions.begin() as session:
        files = session.query(ScanFile).filter(ScanFile.original_name.startswith(prefix)).all()
        reported: dict[int | None, datetime] = {
            event.study_id: event.at for event in session.query(Event).filter_by(kind="reported")
        }
        return max((reported[row.study_id] - row.received_at).total_seconds() for row in files)


def high_water_kb(processes: Iterable[int]) -> int:
    """The most memory that any of these processes ever held."""
    most = 0
    for process in processes:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        most = max(most, int(found[1]) if found else 0)
    return most


@pytest.mark.timeout(400)
def test_hostile_inputs(deployment: Deployment, hostile: Path) -> None:
    deployment.environment |= {"TRIAGE_ENGINE": "openvino-int8", "TRIAGE_CLAIM_SIZE": "8"}
    settings = deployment.settings
    expected, files = expectations(hostile), sum(1 for _ in list_inbox(hostile))
    worker = deployment.start()
    started, memory_kb = datetime.now().astimezone(), 0

    def is_done() -> bool:
        nonlocal memory_kb
        memory_kb = max(memory_kb, high_water_kb(worker.children))
        return deployment.is_done(files + GOOD)

    for number in range(GOOD // 2):
        deployment.drop(f"good {number:02}.png", png(number))
    hostile.rename(settings.inbox / "hostile")
    for number in range(GOOD // 2, GOOD):
        deployment.drop(f"good {number:02}.png", png(number))
    wait_until(is_done, DONE_SECONDS, "all done", lambda: f"{deployment.counts()}\n{deployment.logs()}")
    seconds = (datetime.now().astimezone() - started).total_seconds()

    found = outcomes(deployment, "hostile/")
    became = {name: found.get(name, IGNORED) for name in expected}
    assert {
        name: f"{became[name]}, expected {outcome}"
        for name, outcome in expected.items()
        if became[name] not in DEVIATIONS.get(name, AGREE[outcome])
    } == {}
    assert not found.keys() - expected.keys() - {member for member in found if ".zip/" in member}
    assert Counter(outcomes(deployment, "good ").values()) == {REPORTED: GOOD}
    figures = Figures(
        inputs=len(expected),
        deviations=len(DEVIATIONS.keys() & expected.keys()),
        outcomes=dict(sorted(Counter(became.values()).items())),
        good=GOOD,
        processes_lost=deployment.logs().count("exited with"),
        longest_block_seconds=longest_pause(deployment),
        slowest_good_seconds=slowest(deployment, "good "),
        most_memory_mib=memory_kb // 1024,
        seconds=seconds,
    )
    assert figures.processes_lost == 0, deployment.logs()
    assert figures.longest_block_seconds < MOST_PAUSE_SECONDS
    assert memory_kb < settings.max_memory_per_child_kb + MEMORY_MARGIN_KB
    assert verify(settings, sums=True).findings == ()
    assert worker.process.poll() is None
    assert worker.stop() == 0
    if RECORD in os.environ:
        Path(os.environ[RECORD]).write_text(json.dumps(asdict(figures), indent=2) + "\n")
