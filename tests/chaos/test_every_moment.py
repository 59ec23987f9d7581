"""kill -9 at every moment at which something becomes lasting: whoever goes on loses and doubles nothing."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.drops import expected, one_of_everything
from tests.chaos.ground import Ground
from tests.chaos.one_process import in_a_process, work_until, work_with_a_fuse
from tests.servers import MortalPostgres
from tests.system.deployment import Deployment
from worker.folders import make_folders
from worker.migrate import migrate
from worker.settings import DATABASE_FILE

QUICK = {
    "TRIAGE_SETTLE_SECONDS": "0.01",
    "TRIAGE_QUIET_SECONDS": "0.05",
    # a lease is as many retry delays as with the settings that are shipped, and so are the attempts
    "TRIAGE_LEASE_SECONDS": "0.75",
    "TRIAGE_RESCAN_SECONDS": "0.05",
    "TRIAGE_MIN_FREE_BYTES": "0",
}
IN_THE_GATE = 16
"""Moments that `make test` goes through, evenly spread; `make chaos` takes all."""

GroundMaker = Callable[[Path], Ground]


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: waiting for a disk at every sync would take most of the time."""
    place = Path("/dev/shm")
    if not os.access(place, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="triage-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> GroundMaker:
    """Grounds with a database of their own, at the newest schema."""
    template = tmp_path / "template.db"
    migrate(f"sqlite:///{template}")

    def make(home: Path) -> Ground:
        deployment = Deployment(home, dict(QUICK))
        make_folders(deployment.settings)
        shutil.copy(template, home / DATABASE_FILE)
        return Ground(deployment)

    return make


@pytest.fixture
def on_postgres(shared_postgres: MortalPostgres) -> GroundMaker:
    template = shared_postgres.create_database()
    migrate(template)

    def make(home: Path) -> Ground:
        deployment = Deployment(home, QUICK | {"TRIAGE_DATABASE_URL": shared_postgres.create_database(template)})
        make_folders(deployment.settings)
        return Ground(deployment)

    return make


def work(ground: Ground, counted: Path, burning: int | None = None) -> int:
    ground.drop(one_of_everything())
    files = len(expected(ground.dropped).names)
    return in_a_process(work_with_a_fuse, ground.deployment, files, counted, burning)


@pytest.mark.parametrize(
    ("database", "most"),
    [
        ("SQLite", IN_THE_GATE),
        pytest.param("Postgres", IN_THE_GATE, marks=pytest.mark.long),
        pytest.param("SQLite", None, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
        pytest.param("Postgres", None, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_kill_9_at_every_moment(
    database: str, most: int | None, memory_folder: Path, request: pytest.FixtureRequest
) -> None:
    make: GroundMaker = request.getfixturevalue(f"on_{database.lower()}")
    counted = memory_folder / "moments"
    assert work(make(memory_folder / "undisturbed"), counted) == 0
    moments = int(counted.read_text())
    assert moments > 100, "the fuse hears nothing"
    step = 1 if most is None else max(1, moments // most)
    killed = 0
    for moment in range(1, moments + 1, step):
        ground = make(memory_folder / f"{moment}")
        status = work(ground, counted, moment)
        assert status in (0, -signal.SIGKILL)
        killed += status != 0
        since = time.monotonic()
        work_until(lambda ground=ground: ground.is_done(), ground.deployment.settings)
        ground.judge(
            "kill -9 before every write and every commit", f"{database}, one process", time.monotonic() - since
        )
        shutil.rmtree(ground.deployment.home)
    assert killed > 0.9 * moments / step, "most moments come again in every run"
