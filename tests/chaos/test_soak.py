"""`make soak MINUTES=60`: files keep coming, something keeps going wrong, and at the end all is accounted for."""

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.drops import expected, one_of_everything
from tests.chaos.ground import Ground
from tests.chaos.limits import NOTHING_LARGER, limit_files
from tests.system.deployment import Worker
from worker.cli.verification import verify
from worker.findings import Trouble
from worker.settings import Settings

MINUTES = float(os.environ.get("CHAOS_SOAK_MINUTES", "1"))
MOST_BEHIND = 60
"""Files on their way at most: what is tested is damage, not the machine."""
AT_THE_END_SECONDS = 600.0

Damage = Callable[[Ground], None]


def _worker(ground: Ground) -> Worker:
    return ground.deployment.workers[-1]


def kill_a_child(ground: Ground) -> None:
    with suppress(ProcessLookupError, IndexError):
        os.kill(ground.chance.choice(_worker(ground).children), signal.SIGKILL)


def kill_the_worker(ground: Ground) -> None:
    _worker(ground).kill()
    ground.pause(0, 3)
    ground.deployment.start()


def stop_the_worker(ground: Ground) -> None:
    assert _worker(ground).stop_group() == 0
    ground.deployment.start()


def freeze_the_worker(ground: Ground) -> None:
    group = _worker(ground).process.pid
    os.killpg(group, signal.SIGSTOP)
    ground.pause(1, 6)
    os.killpg(group, signal.SIGCONT)


def let_no_file_grow(ground: Ground) -> None:
    limit_files(_worker(ground), NOTHING_LARGER)
    ground.pause(1, 5)
    limit_files(_worker(ground), resource.RLIM_INFINITY)


def kill_redis(ground: Ground) -> None:
    if ground.redis is not None:
        ground.redis.kill()
        ground.pause(0, 4)
        ground.redis.start()


def kill_postgres(ground: Ground) -> None:
    if ground.postgres is not None:
        ground.postgres.stop(ground.chance.choice([signal.SIGINT, signal.SIGQUIT]))
        ground.pause(0, 4)
        ground.postgres.start()


def let_redis_refuse(ground: Ground) -> None:
    if ground.redis is not None:
        ground.redis.tell("CONFIG", "SET", "maxmemory", "1")
        ground.pause(0, 4)
        ground.redis.tell("CONFIG", "SET", "maxmemory", "0")


def empty_redis(ground: Ground) -> None:
    if ground.redis is not None:
        ground.redis.tell("FLUSHALL")


def let_postgres_not_write(ground: Ground) -> None:
    if ground.postgres is not None:
        url = ground.deployment.settings.resolved_database_url
        ground.postgres.let_write(url, allowed=False)
        ground.pause(0, 4)
        ground.postgres.let_write(url, allowed=True)


def remove_the_embedded_broker(ground: Ground) -> None:
    shutil.rmtree(ground.deployment.settings.broker_folder, ignore_errors=True)


def take_the_model_away(ground: Ground) -> None:
    """From the children that come: those that run have it in memory."""
    model = ground.deployment.settings.model_folder
    aside = model.rename(model.with_name("aside"))
    kill_a_child(ground)
    ground.pause(0, 4)
    aside.rename(model)


EVERYWHERE: list[Damage] = [
    kill_a_child, kill_the_worker, stop_the_worker, freeze_the_worker, let_no_file_grow, take_the_model_away,
]  # fmt: skip
EMBEDDED: list[Damage] = [*EVERYWHERE, remove_the_embedded_broker]
WITH_SERVERS: list[Damage] = [
    *EVERYWHERE, kill_redis, let_redis_refuse, empty_redis, kill_postgres, let_postgres_not_write,
]  # fmt: skip


def remove_what_is_old(ground: Ground) -> None:
    """What a killed process had half written is a finding after an hour, and `verify --repair` removes it."""
    found = verify(ground.deployment.settings, put_right=True)
    assert {finding.trouble for finding in found.findings} <= {Trouble.OBJECT_ORPHAN, Trouble.PART_LEFT_OVER}, found


@pytest.mark.long
@pytest.mark.timeout(60 * MINUTES + 2 * AT_THE_END_SECONDS)
def test_soak(ground: Ground, tmp_path: Path) -> None:
    model = shutil.copytree(Settings().model_folder, tmp_path / "model")
    ground.deployment.environment |= {"TRIAGE_MODEL": str(model)}
    ground.deployment.start()
    possible = EMBEDDED if ground.redis is None else WITH_SERVERS
    end = time.monotonic() + 60 * MINUTES
    seed = 0
    while time.monotonic() < end:
        while len(expected(ground.dropped).names) - ground.done_count() < MOST_BEHIND:
            ground.drop(one_of_everything(seed))
            seed += 1
        ground.pause(0.5, 8)
        ground.chance.choice(possible)(ground)
    remove_what_is_old(ground)
    ground.survives(f"random damage for {MINUTES:g} minutes while files keep coming", AT_THE_END_SECONDS)
