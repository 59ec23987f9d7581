"""Memory and time of a study of many slices, against one of few (see benchmarks/README.md)."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.system.slices import BRAIN, slice_bytes, source_slices
from trainer.runtime.bundle import ModelBundle
from worker import inbox_files
from worker.folders import make_folders
from worker.migrate import migrate
from worker.pipeline import ANALYSE, DELIVER, INTAKE, REPORT, Stage
from worker.services import Services
from worker.settings import Settings
from worker.stage_runner import run_stage
from worker.store import queries
from worker.store.models import Prediction, Study, StudyState

FEW, MANY = 50, 1000
STAGES = (INTAKE, ANALYSE, REPORT, DELIVER)


@dataclass(frozen=True)
class StageCost:
    """What one stage took of its process: seconds, and the most memory it had meanwhile, MiB resident."""

    stage: str
    seconds: float
    peak_mib: float


def drop_study(settings: Settings, slices: int, source: Path) -> None:
    """Put a made-up study of so many slices, a millimetre apart, into the inbox."""
    make_folders(settings)
    sources = source_slices(source)
    for number in range(1, slices + 1):
        (settings.inbox / f"{number:05d}.dcm").write_bytes(slice_bytes(sources, slices, number))


def read_study(settings: Settings) -> list[StageCost]:
    """Take what lies in the inbox through the stages in this process, as one of the worker's does.

    Raises:
        RuntimeError: it does not end as one reported study with every slice of it predicted.
    """
    migrate(settings.resolved_database_url)
    services = Services(settings)
    paths = sorted(inbox_files.list_inbox(settings.inbox))
    for path in paths:
        claim_id = inbox_files.claim(settings.inbox, settings.claimed, path)
        assert claim_id is not None
        with services.session.begin() as session:
            queries.add_file(session, claim_id, path.name, 1, services.now())
    costs = [_run(stage, services) for stage in STAGES]
    with services.session.begin() as session:
        states = [study.state for study in session.query(Study)]
        predicted = session.query(Prediction).count()
    if states != [StudyState.REPORTED] or predicted != len(paths):
        raise RuntimeError(f"instead of one reported study there are {states}, with {predicted} slices predicted")
    return costs


def _run(stage: Stage, services: Services) -> StageCost:
    forget_peak()
    begin = time.perf_counter()
    while run_stage(stage, services, lambda _: None):
        pass
    return StageCost(stage.name, time.perf_counter() - begin, peak_mib())


def forget_peak() -> None:
    """Let the kernel begin anew with this process's peak of resident memory (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The peak since then; Linux only."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def measure(slices: int, source: Path) -> list[StageCost]:
    """Read a study of so many slices in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        environment = os.environ | {"TRIAGE_HOME": str(home), "TRIAGE_QUIET_SECONDS": "0"}
        command = [sys.executable, "-m", "benchmarks.large_study", "--read-inbox"]
        drop_study(Settings(home=home), slices, source)
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return [StageCost(**cost) for cost in json.loads(done.stdout)]


def main() -> None:
    """Measure each size, print the table and what the largest takes of the smallest's memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, nargs="+", default=[FEW, MANY], metavar="N")
    parser.add_argument("--source", type=Path, default=BRAIN, help="folder of a series whose pixels are used")
    parser.add_argument("--read-inbox", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read_inbox:
        sys.stdout.write(json.dumps([asdict(cost) for cost in read_study(Settings())]))
        return
    found = {slices: measure(slices, arguments.source) for slices in sorted(arguments.slices)}
    model = ModelBundle.load(Settings().model_folder).version
    table = Table(title=f"one study, {os.cpu_count()} cores, model {model}")
    for column in ("slices", *(stage.name for stage in STAGES), "peak"):
        table.add_column(column, justify="right")
    for slices, costs in found.items():
        cells = [f"{cost.seconds:.1f} s, {cost.peak_mib:.0f} MiB" for cost in costs]
        table.add_row(f"{slices:,}", *cells, f"{_peak(costs):.0f} MiB")
    console = Console()
    console.print(table)
    few, many = min(found), max(found)
    ratio = _peak(found[many]) / _peak(found[few])
    console.print(f"peak memory of {many:,} slices: {ratio:.2f} times that of {few:,}")


def _peak(costs: list[StageCost]) -> float:
    return max(cost.peak_mib for cost in costs)


if __name__ == "__main__":
    main()
