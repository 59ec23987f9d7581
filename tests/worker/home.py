"""A TRIAGE_HOME in one process: files dropped into it go through the real steps."""

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import update
from typer.testing import CliRunner, Result

from tests.worker.conftest import ClockedServices
from worker.cli import app
from worker.pipeline import STAGES
from worker.stage_runner import run_stage
from worker.store import queries
from worker.store.models import Chore, Report, ScanFile, Study

TWO_HOURS = 7200.0


@dataclass
class Home:
    """A worker's parts without Celery, and the command line on what they did."""

    services: ClockedServices

    @property
    def path(self) -> Path:
        return self.services.settings.home

    @property
    def outbox(self) -> Path:
        return self.services.settings.outbox

    def drop(self, name: str, content: bytes) -> None:
        claim_id = os.urandom(16).hex()
        folder = self.services.settings.claimed / claim_id
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
        with self.services.session.begin() as session:
            queries.add_file(session, claim_id, name, 2, self.services.now())

    def work(self) -> None:
        """Run every stage until nothing is due."""
        while sum(run_stage(stage, self.services, lambda _: None) for stage in STAGES.values()):
            self.services.wait(2)

    def call(self, *arguments: str, **environment: str) -> Result:
        """`python -m worker` on this home, and on its database."""
        url = self.services.settings.database_url
        database = {} if url is None else {"TRIAGE_DATABASE_URL": url}
        home = {"TRIAGE_HOME": str(self.path), "COLUMNS": "200"}
        return CliRunner().invoke(app, list(arguments), env=home | database | environment)

    def verify(self, *options: str) -> Result:
        return self.call("verify", *options)

    def age(self, days: float) -> None:
        """As if everything that is there had happened so many days ago."""
        then = datetime.now(UTC) - timedelta(days=days)
        with self.services.session.begin() as session:
            session.execute(update(ScanFile).values(received_at=then))
            session.execute(update(Study).where(Study.reported_at.is_not(None)).values(reported_at=then))
        for path in self.path.rglob("*"):
            os.utime(path, (then.timestamp(), then.timestamp()))

    def troubles(self, *options: str) -> set[str]:
        return {finding["trouble"] for finding in json.loads(self.verify("--json", *options).stdout)["findings"]}

    def update(self, table: type[ScanFile] | type[Study] | type[Chore], where: object, **values: object) -> None:
        with self.services.session.begin() as session:
            session.execute(update(table).where(where).values(**values))  # type: ignore[arg-type]

    def report(self) -> Path:
        return next(self.outbox.glob("reports/*.pdf"))

    def rejected(self) -> Path:
        return next(self.outbox.glob("rejected/*"))

    def stored_report(self) -> Path:
        with self.services.session.begin() as session:
            return self.services.objects.path_of(session.query(Report).first().sha256)  # type: ignore[union-attr]


def old(path: Path) -> Path:
    """As if nothing had happened to it for two hours."""
    moment = time.time() - TWO_HOURS
    os.utime(path, (moment, moment))
    return path


def made(path: Path, content: bytes = b"left") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return old(path)
