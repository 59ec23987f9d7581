"""`backup`: whatever a worker does meanwhile, a copy in which every row has its bytes and from which work goes on."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import Result

from tests.servers import PostgresServer
from tests.worker.conftest import ClockedServices, services_for
from tests.worker.filing import QUIET
from tests.worker.home import Home
from tests.worker.scans import archive, dicom, png
from worker import backup as backup_module
from worker.folders import make_folders
from worker.inbox import ADOPT_AFTER_SECONDS
from worker.pipeline import STAGES
from worker.settings import DATABASE_FILE, Settings
from worker.stage_runner import run_stage
from worker.store.audit import FileRow
from worker.store.models import Event, Study
from worker.store.objects import ObjectStore

SECRET = "Doe^Jane"


@dataclass
class Place:
    """A home on either database, and how its backups are brought back."""

    home: Home
    migrated_sqlite: Path
    server: PostgresServer | None = None

    def back_up(self, target: Path) -> Result:
        programs = "" if self.server is None else f"{self.server.programs}:"
        return self.home.call("backup", str(target), "--json", PATH=f"{programs}{os.environ['PATH']}")

    def restored(self, target: Path) -> Home:
        """What docs/operations.md says: the folder is the home, the dump goes into a new database."""
        settings = self.home.services.settings.model_copy(update={"home": target})
        if self.server is not None:
            settings = settings.model_copy(update={"database_url": self.server.load(target / "triage.sql")})
        there = ClockedServices(settings)
        there.__dict__.update({name: self.home.services.__dict__[name] for name in ("predictor", "bundle")})
        there.clock = self.home.services.clock
        there.wait(60)  # leases of the time of the backup have run out
        return Home(there)


@pytest.fixture
def embedded(tmp_path: Path, migrated_sqlite: Path) -> Place:
    settings = Settings(home=tmp_path / "home", min_free_bytes=0)
    make_folders(settings)
    services = services_for(settings, migrated_sqlite)
    services.clock = datetime.now(UTC)
    return Place(Home(services), migrated_sqlite)


@pytest.fixture
def scaled_out(embedded: Place, postgres: PostgresServer, postgres_engine: Engine) -> Place:
    settings = embedded.home.services.settings
    url = postgres_engine.url.render_as_string(hide_password=False)
    services = ClockedServices(settings.model_copy(update={"database_url": url}))
    services.__dict__.update({name: embedded.home.services.__dict__[name] for name in ("predictor", "bundle")})
    services.clock = embedded.home.services.clock
    (settings.home / DATABASE_FILE).unlink()
    return Place(Home(services), embedded.migrated_sqlite, postgres)


@pytest.fixture(params=["embedded", "scaled_out"])
def place(request: pytest.FixtureRequest) -> Place:
    """One picture is reported, one is refused; of the rest, each in another state, nothing is done yet."""
    place = request.getfixturevalue(request.param)
    assert isinstance(place, Place)
    home = place.home
    home.drop(f"{SECRET}.png", png(1))
    home.drop("refused.txt", b"no picture")
    home.work()
    home.drop("again.png", png(1))
    home.drop("two.png", png(2))
    home.drop("refused too.txt", b"nor this")
    home.drop("three.zip", archive({"one.png": png(3), "two.png": png(4)}))
    home.drop("slice.dcm", dicom(7, 1))
    return place


OUTCOMES = {"reported": 5, "rejected": 2, "duplicate": 1, "unpacked": 1, "failed": 0, "waiting": 0}


def assert_whole(restored: Home) -> None:
    """Clean at once, and when the rest of the work is done, which is all that there was."""
    assert restored.troubles("--sums") == set()
    restored.work()
    restored.services.wait(QUIET.total_seconds() + ADOPT_AFTER_SECONDS)
    restored.work()
    found = json.loads(restored.verify("--sums", "--json").stdout)
    assert (found["findings"], found["files"]) == ([], OUTCOMES)
    with restored.services.session.begin() as session:
        assert session.query(Event).filter_by(kind="reported").count() == session.query(Study).count()


def work_a_little(home: Home, stages: int) -> None:
    for stage in list(STAGES.values())[:stages]:
        run_stage(stage, home.services, lambda _: None)


@pytest.mark.parametrize("stages", range(4))
def test_work_goes_on_from_a_backup(place: Place, tmp_path: Path, stages: int) -> None:
    work_a_little(place.home, stages)
    result = place.back_up(tmp_path / "backup")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert (made["target"], made["missing"]) == (str(tmp_path / "backup"), 0)
    assert_whole(place.restored(tmp_path / "backup"))


@pytest.mark.parametrize("stages", range(3))
def test_what_a_worker_does_between_database_and_files_changes_nothing(
    place: Place, tmp_path: Path, stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that waited is stored, refused or reported when its bytes are looked for."""
    copy = backup_module._Copying.copy

    def work_and_copy(copying: backup_module._Copying) -> None:
        place.home.work()
        copy(copying)

    work_a_little(place.home, stages)
    monkeypatch.setattr(backup_module._Copying, "copy", work_and_copy)
    result = place.back_up(tmp_path / "backup")
    assert result.exit_code == 0, result.output
    assert_whole(place.restored(tmp_path / "backup"))


def test_a_file_too_large_that_was_given_back_meanwhile(
    embedded: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before it is stored, so its bytes are in the outbox alone."""
    home = embedded.home
    home.services.limits = home.services.limits.__class__(max_file_bytes=1, max_archive_bytes=1)
    home.drop("large.png", png(2))
    wait = backup_module._Copying._waiting

    def work_and_wait(copying: backup_module._Copying, row: FileRow) -> bool:
        home.work()
        return wait(copying, row)

    monkeypatch.setattr(backup_module._Copying, "_waiting", work_and_wait)
    assert embedded.back_up(tmp_path / "backup").exit_code == 0
    assert list(home.services.settings.claimed.iterdir()) == []
    restored = embedded.restored(tmp_path / "backup")
    restored.work()
    found = json.loads(restored.verify("--sums", "--json").stdout)
    assert (found["findings"], found["files"]["reported"]) == ([], 1)


def test_it_is_as_private_as_the_home_and_holds_nothing_else(place: Place, tmp_path: Path) -> None:
    home = place.home.path
    (home / "pseudonym.key").write_bytes(b"k" * 32)
    (home / "pseudonym.key").chmod(0o600)
    target = tmp_path / "backup"
    assert place.back_up(target).exit_code == 0
    database = "triage.db" if place.server is None else "triage.sql"
    assert {path.name for path in target.iterdir()} == {
        "broker", "cache", "inbox", "outbox", "store", "pseudonym.key", database,
    }  # fmt: skip
    assert ObjectStore(target / "store").is_there()
    for private in ("store", "inbox/.claimed", "pseudonym.key", database):
        assert (target / private).stat().st_mode & 0o077 == 0, private
    for shared in ("inbox", "outbox", "outbox/reports", "outbox/rejected"):
        assert (target / shared).stat().st_mode == (home / shared).stat().st_mode, shared
    assert list(tmp_path.glob(".*.part")) == []


def test_bytes_that_are_nowhere_are_counted_and_the_rest_is_copied(place: Place, tmp_path: Path) -> None:
    place.home.report().unlink()
    result = place.back_up(tmp_path / "backup")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["missing"] == 1
    assert place.restored(tmp_path / "backup").troubles() == {"report_missing"}


class TestRefusals:
    def test_a_folder_with_something_in_it(self, place: Place, tmp_path: Path) -> None:
        (tmp_path / "backup").mkdir()
        (tmp_path / "backup" / "older").touch()
        result = place.back_up(tmp_path / "backup")
        assert result.exit_code == 1
        assert "is there already" in result.stderr
        assert [path.name for path in (tmp_path / "backup").iterdir()] == ["older"]

    def test_an_empty_folder_will_do(self, embedded: Place, tmp_path: Path) -> None:
        (tmp_path / "backup").mkdir()
        assert embedded.back_up(tmp_path / "backup").exit_code == 0

    def test_within_the_home(self, embedded: Place) -> None:
        assert "within TRIAGE_HOME" in embedded.back_up(embedded.home.path / "backup").stderr

    def test_a_store_that_is_away(self, place: Place, tmp_path: Path) -> None:
        place.home.services.settings.store.rename(tmp_path / "moved")
        result = place.back_up(tmp_path / "backup")
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "is not their store" in result.stderr
        assert list(tmp_path.glob("*backup*")) == []

    def test_no_room(self, embedded: Place, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        result = embedded.back_up(tmp_path / "file" / "backup")
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "cannot be written" in result.stderr

    def test_no_pg_dump(self, scaled_out: Place, tmp_path: Path) -> None:
        result = scaled_out.home.call("backup", str(tmp_path / "backup"), PATH="/nowhere")
        assert result.exit_code == 1
        assert "no pg_dump" in result.stderr
        assert not (tmp_path / "backup").exists()

    def test_a_pg_dump_that_fails(self, scaled_out: Place, tmp_path: Path) -> None:
        program = tmp_path / "bin" / "pg_dump"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\necho no dump today >&2\nexit 3\n")
        program.chmod(0o755)
        result = scaled_out.home.call("backup", str(tmp_path / "backup"), PATH=f"{program.parent}:{os.environ['PATH']}")
        assert (result.exit_code, result.stderr) == (1, "pg_dump failed: no dump today\n")
        assert list(tmp_path.glob("*backup*")) == []

    def test_no_database(self, tmp_path: Path, embedded: Place) -> None:
        (embedded.home.path / DATABASE_FILE).unlink()
        assert embedded.back_up(tmp_path / "backup").stderr.startswith("There is no database at")


def test_a_password_is_in_no_process_list(scaled_out: Place, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "$PGPASSWORD" > {tmp_path}/password\nexit 3\n'
    )
    program.chmod(0o755)
    url = (scaled_out.home.services.settings.database_url or "").replace("postgres@", "postgres:hunter2@")
    result = scaled_out.home.call(
        "backup", str(tmp_path / "backup"), PATH=f"{program.parent}:{os.environ['PATH']}", TRIAGE_DATABASE_URL=url
    )
    assert "hunter2" not in (tmp_path / "arguments").read_text() + result.output
    assert (tmp_path / "password").read_text() == "hunter2\n"
