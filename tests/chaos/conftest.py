"""The grounds: embedded, and a Redis and a Postgres that may be killed."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.chaos.ground import SMALL_AND_QUICK, Ground
from tests.chaos.record import Run, record
from tests.servers import MortalPostgres, mortal_postgres, mortal_redis
from tests.system.deployment import Deployment


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails before its audit or after it is in the record too: a line of its own, with a finding."""
    report = yield
    if report.failed:
        record(Run(f"failed: {item.name}", report.when, 0, 0, 0, findings=1, recovery_seconds=0.0))
    return report


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[MortalPostgres]:
    """One server for all; every scenario has a database of its own and leaves the server running."""
    with mortal_postgres() as postgres:
        yield postgres


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Ground]:
    """SQLite and the file broker."""
    deployment = Deployment(tmp_path / "home", dict(SMALL_AND_QUICK))
    yield Ground(deployment)
    deployment.close()


@pytest.fixture
def scaled_out(tmp_path: Path, shared_postgres: MortalPostgres) -> Iterator[Ground]:
    """Redis and Postgres."""
    with mortal_redis() as redis, Ground.on_servers(tmp_path / "home", redis, shared_postgres) as ground:
        yield ground


@pytest.fixture(params=["embedded", pytest.param("scaled_out", marks=pytest.mark.long)])
def ground(request: pytest.FixtureRequest) -> Ground:
    """Both, one after the other; the gate takes the embedded one."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Ground)
    return found
