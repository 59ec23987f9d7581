"""Redis with password and TLS, Postgres with TLS: a real worker works, and nobody sees a password."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.servers import postgres_server, redis_server
from tests.system.deployment import REPOSITORY, Deployment
from tests.tls import Authority, make_authority, tls_front
from tests.worker.scans import png
from worker.cli import app
from worker.cli.broker import queue_lengths

PASSWORD = "sentinel-pass/w@rd"
POSTGRES_SOCKET = ".s.PGSQL.5432"


class Secured:
    """Two servers behind TLS, and the settings to reach them."""

    def __init__(self, authority: Authority, redis_port: int, postgres_port: int, database: str, secret: Path) -> None:
        self.authority, self.redis_port, self.postgres_port = authority, redis_port, postgres_port
        self.database, self.secret = database, secret

    def settings(self, host: str = "localhost", trusted: Path | None = None) -> dict[str, str]:
        """As docs/security.md tells people to write them."""
        trusted = trusted or self.authority.certificate
        verified = f"sslmode=verify-full&sslrootcert={trusted}"
        return {
            "TRIAGE_BROKER_URL": f"rediss://{host}:{self.redis_port}/0?ssl_ca_certs={trusted}",
            "TRIAGE_BROKER_PASSWORD_FILE": str(self.secret),
            "TRIAGE_DATABASE_URL": f"postgresql+psycopg://postgres@{host}:{self.postgres_port}/{self.database}?{verified}",
            "TRIAGE_DATABASE_PASSWORD_FILE": str(self.secret),
        }


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    authority = make_authority(tmp_path / "authority")
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    with redis_server() as broker_url, postgres_server() as postgres:
        port = urlsplit(broker_url).port
        assert port is not None
        with redis.Redis(port=port) as client:
            client.config_set("requirepass", PASSWORD)
        database = urlsplit(postgres.create_database()).path.lstrip("/")
        with (
            tls_front(port, authority) as redis_port,
            tls_front(postgres.socket_folder / POSTGRES_SOCKET, authority, postgres=True) as postgres_port,
        ):
            yield Secured(authority, redis_port, postgres_port, database, secret)


def call(home: Path, settings: dict[str, str], *arguments: str) -> Result:
    environment = {"TRIAGE_HOME": str(home), "COLUMNS": "200"} | settings
    return CliRunner().invoke(app, list(arguments), env=environment)


def processes_of(worker: int) -> str:
    """Command lines and environments of a worker's processes."""
    seen = []
    for folder in Path("/proc").iterdir():
        with suppress(ProcessLookupError, FileNotFoundError):  # others end meanwhile
            if folder.name.isdigit() and os.getsid(int(folder.name)) == worker:
                seen += [(folder / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ")]
    assert seen
    return "\n".join(seen)


def test_a_worker_over_tls_and_no_password_anywhere(secured: Secured, tmp_path: Path) -> None:
    settings = secured.settings()
    deployment = Deployment(tmp_path / "home", settings | {"TRIAGE_ENGINE": "openvino-int8"})
    try:
        worker = deployment.start("-l", "DEBUG")
        deployment.drop("scan.png", png(1))
        deployment.wait_until_done(1)
        printed = [call(deployment.home, settings, *words).output for words in (["status"], ["health"], ["worklist"])]
        processes = processes_of(worker.process.pid)
        worker.stop()
    finally:
        deployment.close()
    assert len(deployment.reports()) == 1
    assert "Healthy" in printed[1]
    for text in (deployment.logs(), processes, *printed):
        assert PASSWORD not in text
        assert "sentinel-pass" not in text


@pytest.mark.parametrize("wrong", ["name", "authority", "password"])
def test_a_server_that_is_not_the_one_meant_is_refused(secured: Secured, tmp_path: Path, wrong: str) -> None:
    good = Deployment(tmp_path / "home", secured.settings())
    good.home.mkdir()
    # 127.0.0.1 is the same server, and a name that its certificate does not have
    host = "127.0.0.1" if wrong == "name" else "localhost"
    other = make_authority(tmp_path / "other").certificate if wrong == "authority" else None
    if wrong == "password":
        secured.secret.write_text("sentinel-pass-guessed")
    settings = secured.settings(host, other)
    assert queue_lengths(Deployment(good.home, settings).settings) is None
    if wrong != "password":  # the Postgres of the tests asks for none
        found = call(good.home, settings, "status")
        assert found.exit_code == 1
        assert "The database does not answer" in found.output
        assert "sentinel-pass" not in found.output


def test_the_way_to_write_it_is_documented() -> None:
    text = (REPOSITORY / "docs" / "security.md").read_text()
    for words in ("rediss://", "ssl_ca_certs=", "sslmode=verify-full", "sslrootcert="):
        assert words in text
