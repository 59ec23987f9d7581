"""The clock jumps, an hour ahead and two hours back, with work in hand."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.chaos.drops import mixed
from tests.chaos.ground import Ground

AN_HOUR = 3600


def faked_clock(clock: Path) -> dict[str, str]:
    """The environment in which processes read their clock's offset from a file (libfaketime); stopwatches go on."""
    found = find_spec("libfaketime")
    if found is None or found.origin is None:
        pytest.skip(f"there is no libfaketime for {sys.platform}")
    library = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.long
def test_a_clock_that_jumps(ground: Ground, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    ground.deployment.environment |= faked_clock(clock)
    ground.deployment.start()
    ground.drop(mixed(4))
    ground.wait_for_work()
    clock.write_text(f"+{AN_HOUR}")
    ground.drop(mixed(4, first_seed=4))
    ground.pause(1, 3)
    clock.write_text(f"-{AN_HOUR}")
    ground.clock_is_set_back = True
    ground.drop(mixed(4, first_seed=8))
    ground.survives("the clock an hour ahead, then two hours back")


@pytest.mark.long
def test_a_clock_set_back_while_nobody_works(ground: Ground, tmp_path: Path) -> None:
    """A killed worker's leases are of a time that is yet to come."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    ground.deployment.environment |= faked_clock(clock)
    worker = ground.deployment.start()
    ground.drop(mixed(8))
    ground.wait_for_work()
    worker.kill()
    clock.write_text(f"-{2 * AN_HOUR}")
    ground.clock_is_set_back = True
    ground.deployment.start()
    ground.survives("kill -9, then the clock set back by two hours")
