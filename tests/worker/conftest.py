"""A worker's parts on real databases, with a clock that tests move and a predictor that knows bright from dark."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from tests.servers import PostgresServer
from tests.worker.scans import CALIBRATION, FakePredictor
from trainer.runtime.bundle import ModelBundle
from worker.folders import make_folders
from worker.migrate import migrate
from worker.services import Services
from worker.settings import DATABASE_FILE, Settings
from worker.store.models import Base
from worker.store.session import open_engine, session_factory

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class ClockedServices(Services):
    """Services whose time stands still until a test moves it."""

    clock = NOON

    def now(self) -> datetime:
        return self.clock

    def wait(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / DATABASE_FILE
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> Engine:
    """One database of the newest schema, to be emptied."""
    url = postgres.create_database()
    migrate(url)
    return open_engine(url)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An empty, migrated database, of each kind in turn."""
    return request.getfixturevalue(f"{request.param}_engine")


@pytest.fixture
def sqlite_engine(tmp_path: Path, migrated_sqlite: Path) -> Engine:
    return open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path)}")


@pytest.fixture
def postgres_engine(migrated_postgres: Engine) -> Engine:
    with migrated_postgres.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # events refuse to be deleted
        for table in reversed(Base.metadata.sorted_tables):  # TRUNCATE takes ten times as long on small tables
            connection.execute(table.delete())
    return migrated_postgres


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions on SQLite and on Postgres."""
    return session_factory(engine)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of its own, with its folders."""
    settings = Settings(home=tmp_path / "home", settle_seconds=0.05, min_free_bytes=0)
    make_folders(settings)
    return settings


@pytest.fixture
def services(settings: Settings, migrated_sqlite: Path) -> ClockedServices:
    """A worker process's services: SQLite, a clock at noon, the fake predictor."""
    return services_for(settings, migrated_sqlite)


def services_for(settings: Settings, migrated_sqlite: Path) -> ClockedServices:
    """The same where a test makes its own home."""
    shutil.copy(migrated_sqlite, settings.home / DATABASE_FILE)
    services = ClockedServices(settings)
    services.__dict__["predictor"] = FakePredictor()
    services.__dict__["bundle"] = ModelBundle(
        folder=Path("models/test-1"),
        version="test-1",
        input_size=160,
        flip_tta=False,
        calibration=CALIBRATION,
        weights_sha256="0" * 64,
        metrics=None,
    )
    return services
