"""A disk that takes nothing for a while: store, outbox and database, at once or one of them."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.drops import expected, mixed
from tests.chaos.ground import DONE_SECONDS, Ground
from tests.chaos.limits import NOTHING_LARGER, limit_files
from worker.cli.verification import verify

COUNT = 6
SMALL_DISK_MEBIBYTES = 24
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
    ground.survives("no file may grow for a while: store, outbox, database")


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


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path], None]]:
    """Mounts a small disk of its own at a folder."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        options = f"size={SMALL_DISK_MEBIBYTES}m,mode=770"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("mounting is not allowed here; RLIMIT_FSIZE does it above")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


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
    ballast.unlink()
    ground.survives(f"a full disk: {'everything' if full == 'home' else 'the outbox'}")


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
