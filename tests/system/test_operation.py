"""A backup of a worker under load, brought back elsewhere; studies read again by a worker that runs."""

import os
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.servers import PostgresServer
from tests.system.deployment import Deployment, wait_until
from tests.worker.scans import png
from worker.cli.verification import verify
from worker.store.models import UNFINISHED_FILES, ScanFile, Study, StudyState

COUNT = 60


def call(deployment: Deployment, *arguments: str, path: str = "") -> str:
    """What a command of the operator printed; programs of this folder come first."""
    done = deployment.ask(*arguments, **({"PATH": f"{path}:{os.environ['PATH']}"} if path else {}))
    assert done.returncode == 0, done.stderr
    return done.stdout


def back_up_under_load(deployment: Deployment, target: Path, programs: str = "") -> None:
    deployment.environment |= {"TRIAGE_CLAIM_SIZE": "4"}
    deployment.start()
    for number in range(COUNT):
        deployment.drop(f"{number}.png", png(number))
    wait_until(lambda: len(deployment.reports()) >= 3, 60, "three reports", deployment.logs)
    call(deployment, "backup", str(target), path=programs)


def assert_work_goes_on(restored: Deployment, first: Deployment) -> None:
    """What the backup holds is in order, in the middle of its work, and is all done by a worker of its own."""
    before = verify(restored.settings, sums=True)
    assert before.findings == ()
    files, studies = restored.counts()
    assert files.keys() & UNFINISHED_FILES or studies.keys() - {StudyState.REPORTED}, "it was taken too late"
    restored.start()
    restored.wait_until_done(sum(files.values()))
    after = verify(restored.settings, sums=True)
    assert (after.findings, after.files["reported"]) == ((), sum(files.values()))
    assert after.files["reported"] == len(restored.reports()) >= 3
    first.wait_until_done(COUNT)
    assert verify(first.settings, sums=True).findings == (), "the worker was disturbed"


# tests/worker/test_backup.py goes through more moments, without a real worker
@pytest.mark.long
def test_a_backup_under_load(embedded: Deployment, tmp_path: Path) -> None:
    back_up_under_load(embedded, tmp_path / "backup")
    restored = Deployment(tmp_path / "backup")
    try:
        assert_work_goes_on(restored, embedded)
    finally:
        restored.close()


@pytest.mark.long
def test_a_backup_of_a_postgres_under_load(scaled_out: Deployment, postgres: PostgresServer, tmp_path: Path) -> None:
    database_url = postgres.create_database()
    scaled_out.environment |= {"TRIAGE_DATABASE_URL": database_url}
    back_up_under_load(scaled_out, tmp_path / "backup", str(postgres.programs))
    loaded = postgres.load(tmp_path / "backup" / "triage.sql")
    restored = Deployment(tmp_path / "backup", {"TRIAGE_DATABASE_URL": loaded})
    try:
        assert_work_goes_on(restored, scaled_out)
    finally:
        restored.close()


@pytest.mark.long
def test_a_running_worker_reads_again(embedded: Deployment) -> None:
    embedded.start()
    for number in range(2):
        embedded.drop(f"{number}.png", png(number))
    embedded.wait_until_done(2)
    first = embedded.reports()
    assert call(embedded, "reprocess", "--all") == "2 studies are due to be read again.\n"
    wait_until(lambda: len(embedded.reports()) == 4, 60, "four reports", embedded.logs)
    embedded.wait_until_done(2)
    assert set(first) < set(embedded.reports())
    page = (embedded.settings.outbox / "index.html").read_text
    wait_until(lambda: page().count("supersedes revision 1") == 2, 30, "the page", embedded.logs)
    assert verify(embedded.settings, sums=True).findings == ()
    with embedded.sessions.begin() as session:
        assert list(session.scalars(select(Study.revision))) == [2, 2]
        assert session.query(ScanFile).count() == 2
