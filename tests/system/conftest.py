"""The two deployments of the product: embedded defaults, and real Redis + real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import postgres_server, redis_server
from tests.system.deployment import REPOSITORY, Deployment


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Deployment]:
    """SQLite and the file broker, everything under one folder."""
    deployment = Deployment(tmp_path / "home")
    yield deployment
    deployment.close()


@pytest.fixture
def scaled_out(tmp_path: Path) -> Iterator[Deployment]:
    """Redis and Postgres, started for this test."""
    with redis_server() as broker_url, postgres_server() as postgres:
        servers = {"TRIAGE_BROKER_URL": broker_url, "TRIAGE_DATABASE_URL": postgres.create_database()}
        deployment = Deployment(tmp_path / "home", servers)
        yield deployment
        deployment.close()


@pytest.fixture(params=["embedded", pytest.param("scaled_out", marks=pytest.mark.long)])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Both, one after the other; the gate takes the embedded one."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Deployment)
    return found


@pytest.fixture(scope="session")
def samples() -> Path:
    """The sample scans that come with the project."""
    return REPOSITORY / "samples"
