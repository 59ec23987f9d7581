"""A disk that takes nothing for a while: store, outbox and database, at once or one of them."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.drops import expected, mixed
from tests.chaos.ground import DONE_SECONDS, SHIPPED_ATTEMPTS, Ground
from tests.chaos.limits import NOTHING_LARGER, limit_files
from tests.servers import mortal_postgres, mortal_redis
from worker.cli.verification import verify
from worker.store.models import ScanFile, Study

COUNT = 6
SMALL_DISK_MEBIBYTES = 24
DATABASE_MEBIBYTES = 96
RESERVE, NOT_FREE_ENOUGH = 4 << 20, 3 << 20
WITHOUT_A_RESERVE = {"TRIAGE_MIN_FREE_BYTES": "0"}


def test_no_file_may_grow_for_a_while(ground: Ground) -> None:
    """Like a full disk for store, outbox and an embedded database alike, and wherever mounting is not allowed."""
    worker = ground.deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    limit_files(worker, NOTHING_LARGER)
    ground.pause(4, 6)
    limit_files(worker, resource.RLIM_INFINITY)
    assert was_hurt(ground)
    database = " and database" if ground.postgres is None else ""
    ground.survives(f"no file of the worker may grow for a while: store, outbox{database}")


@pytest.mark.long
def test_an_outbox_that_is_deleted(ground: Ground) -> None:
    """What is delivered afterwards makes its folders anew; what was there before comes back on demand."""
    deployment = ground.deployment
    deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work(COUNT)
    shutil.rmtree(deployment.settings.outbox.rename(deployment.home / "deleted"))
    damaged = time.monotonic()
    ground.drop(mixed(COUNT, first_seed=COUNT))
    deployment.wait_until_done(len(expected(ground.dropped).names), DONE_SECONDS)
    found = verify(deployment.settings, put_right=True)
    assert found.findings == found.repaired != (), found
    ground.survives("the outbox deleted, then verify --repair", damaged=damaged)


@pytest.mark.long
def test_a_store_that_is_away_for_a_while(ground: Ground) -> None:
    """Longer than all attempts with the settings that are shipped take, while files keep coming."""
    deployment = ground.deployment
    deployment.environment |= SHIPPED_ATTEMPTS
    deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    away = deployment.settings.store.rename(deployment.home / "away")
    for seed in range(COUNT, 2 * COUNT):
        ground.drop(mixed(1, first_seed=seed))
        ground.pause(3, 4)
    assert "mount it or move it back" in deployment.logs()
    away.rename(deployment.settings.store)
    ground.survives("the store away for a while")


@contextmanager
def disk_at(folder: Path, mebibytes: int = SMALL_DISK_MEBIBYTES) -> Iterator[None]:
    """A small disk of its own at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=770", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here; RLIMIT_FSIZE does it above")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path], None]]:
    """Mounts a small disk at a folder until the test has ended."""
    with ExitStack() as mounted:
        yield lambda folder: mounted.enter_context(disk_at(folder))


def was_hurt(ground: Ground) -> bool:
    """Did the worker meet a disk that takes nothing, or a database that does not for that reason?

    The log may lie on that disk too, so what is to be tried again counts as well.
    """
    with ground.deployment.sessions.begin() as session:
        tried = [
            session.query(table).filter_by(lease_token=None).filter(table.attempts > 0) for table in (ScanFile, Study)
        ]
        return "does not answer" in ground.deployment.logs() or any(rows.count() for rows in tried)


def fill(folder: Path) -> Path:
    """Leave no byte; returns the ballast."""
    ballast = folder / ".ballast"
    with ballast.open("wb", buffering=0) as file:
        for chunk in (1 << 20, 1 << 12, 1):
            while True:
                try:
                    file.write(b"\0" * chunk)
                except OSError:
                    break
    return ballast


@pytest.mark.long
@pytest.mark.parametrize("full", ["home", "outbox"])
def test_a_full_disk(ground: Ground, small_disk: Callable[[Path], None], full: str) -> None:
    deployment = ground.deployment
    deployment.environment |= WITHOUT_A_RESERVE
    small_disk(deployment.home if full == "home" else deployment.settings.outbox)
    deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    ballast = fill(deployment.home if full == "home" else deployment.settings.outbox)
    ground.pause(5, 8)
    assert was_hurt(ground)
    ballast.unlink()
    ground.survives(f"a full disk: {'all of the home' if full == 'home' else 'the outbox'}")


@pytest.mark.long
def test_a_database_server_whose_disk_is_full(tmp_path: Path) -> None:
    """It refuses what needs room, and ends when its log of writes gets none; its administrator starts it again."""
    with (
        mortal_redis() as redis,
        mortal_postgres(partial(disk_at, mebibytes=DATABASE_MEBIBYTES)) as postgres,
        Ground.on_servers(tmp_path / "home", redis, postgres) as ground,
    ):
        ground.deployment.start()
        ground.drop(mixed(COUNT))
        ground.wait_for_work()
        ballast = fill(postgres.socket_folder)
        ground.drop(mixed(10 * COUNT, first_seed=COUNT))
        ground.pause(15, 20)
        assert "No space left on device" in postgres.log.read_text()
        assert was_hurt(ground)
        ballast.unlink()
        if not postgres.is_running:
            postgres.start()
        ground.survives("a full disk: Postgres")


@pytest.mark.long
def test_a_disk_that_is_nearly_full(ground: Ground, small_disk: Callable[[Path], None]) -> None:
    """With a reserve, intake stops before anything fails, and goes on when there is room."""
    deployment = ground.deployment
    deployment.environment |= {"TRIAGE_MIN_FREE_BYTES": str(RESERVE)}
    small_disk(deployment.home)
    deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    ballast = deployment.home / ".ballast"
    ballast.write_bytes(b"\0" * (shutil.disk_usage(deployment.home).free - NOT_FREE_ENOUGH))
    ground.drop(mixed(COUNT, first_seed=COUNT))
    ground.pause(4, 6)
    assert b"nearly full" in deployment.workers[-1].log.read_bytes()
    ballast.unlink()
    ground.survives("a nearly full disk: intake waits")
