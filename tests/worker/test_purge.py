"""`purge`: what is finished and old goes, everything else stays, at whatever moment it is cut short."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.worker.conftest import ClockedServices, services_for
from tests.worker.filing import QUIET, QUIET_MAX, header
from tests.worker.home import Home
from tests.worker.scans import archive, dicom, png
from worker import purge as purge_module
from worker.errors import TransientError
from worker.folders import make_folders
from worker.settings import Settings
from worker.store import purge as rows
from worker.store import queries
from worker.store.models import (
    Base,
    Chore,
    ChoreState,
    Event,
    FileState,
    Instance,
    ScanFile,
    Study,
    StudyState,
)
from worker.store.objects import MARKER

SECRET = "Doe^Jane"
DAYS = ("--older-than", "30")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Path:
    """A picture, the same again, a file that is none, an archive of two pictures, and a study of two slices."""
    settings = Settings(home=tmp_path_factory.mktemp("purge") / "home", min_free_bytes=0)
    make_folders(settings)
    services = services_for(settings, migrated_sqlite)
    services.clock = datetime.now(UTC)
    home = Home(services)
    home.drop(f"{SECRET}.png", png(1))
    home.work()
    home.drop(f"{SECRET} again.png", png(1))
    home.drop(f"{SECRET}.txt", b"no picture")
    home.drop(f"{SECRET}.zip", archive({"one.png": png(2), "two.png": png(3), "three.txt": b"nor this"}))
    for number in (1, 2):
        home.drop(f"{SECRET} {number}.dcm", dicom(5, number, patient_id=SECRET))
    home.work()
    services.wait(QUIET.total_seconds())
    home.work()
    return home.path


@pytest.fixture
def home(services: ClockedServices, made_once: Path) -> Home:
    """A copy of that."""
    shutil.copytree(made_once, services.settings.home, dirs_exist_ok=True)
    services.clock = datetime.now(UTC) + timedelta(minutes=5)
    return Home(services)


def purged(home: Home, *options: str) -> dict[str, Any]:
    result = home.call("purge", *DAYS, "--json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def counts(home: Home) -> dict[str, int]:
    """Rows a table, events aside."""
    with home.services.session.begin() as session:
        tables = [table for table in Base.metadata.sorted_tables if table.name not in ("event", "chore")]
        return {table.name: len(session.execute(select(table)).all()) for table in tables}


def on_disk(home: Home) -> set[Path]:
    """All files that hold what was received or made of it."""
    settings = home.services.settings
    folders = (settings.store, settings.outbox / "reports", settings.outbox / "rejected", settings.claimed)
    return {path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != MARKER}


def assert_in_order(home: Home) -> None:
    home.services.wait(5)
    home.work()  # the worklist page
    result = home.verify("--sums")
    assert result.exit_code == 0, result.output


def test_a_dry_run_is_the_default_and_changes_nothing(home: Home) -> None:
    home.age(31)
    rows_before, files_before = counts(home), on_disk(home)
    assert purged(home) == {"done": False, "studies": 4, "archives": 0, "rejected": 0, "removed": 0}
    assert purged(home, "--dry-run", "--rejected")["rejected"] == 2
    assert (counts(home), on_disk(home)) == (rows_before, files_before)


def test_old_finished_work_goes_and_rejected_files_stay(home: Home) -> None:
    home.age(31)
    found = purged(home, "--yes")
    assert (found["studies"], found["archives"], found["rejected"]) == (4, 1, 0)
    left = counts(home)
    assert left.pop("file") == 2
    assert set(left.values()) == {0}
    assert {path.name for path in on_disk(home) if "store" not in path.parts} == {
        f"{SECRET}.txt", "three.txt", "reason.txt",
    }  # fmt: skip
    assert_in_order(home)
    page = (home.outbox / "index.html").read_text()
    assert SECRET not in page


def test_rejected_files_go_when_asked_for(home: Home) -> None:
    home.age(31)
    assert purged(home, "--yes", "--rejected")["rejected"] == 2
    assert set(counts(home).values()) == {0}
    assert on_disk(home) == set()
    assert_in_order(home)


def test_events_stay_and_say_what_was_purged_without_a_name(home: Home) -> None:
    with home.services.session.begin() as session:
        before = session.query(Event).count()
        public_ids = set(session.scalars(select(Study.public_id)))
    home.age(31)
    result = home.call("purge", *DAYS, "--yes", "--rejected")
    assert result.stdout.startswith("Purged 4 studies, 1 archives and 2 rejected files; ")
    with home.services.session.begin() as session:
        events = session.query(Event).order_by(Event.id).all()
        details = [event.detail or "" for event in events if event.kind == "purged"]
    assert len(events) == before + 7
    assert {detail.partition(":")[0] for detail in details if ":" in detail} == public_ids
    assert "2 files, 2 images, 1 reports" in "\n".join(details)
    assert SECRET not in "\n".join(details) + result.output


def test_nothing_of_a_name_is_left_in_the_database_file(home: Home) -> None:
    home.age(31)
    purged(home, "--yes", "--rejected")
    with home.services.session.begin() as session:
        session.connection()
    database = home.services.settings.home / "triage.db"
    engine = home.services.session.kw["bind"]
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    assert SECRET.encode() not in database.read_bytes()


def test_what_is_younger_stays(home: Home) -> None:
    home.age(29)
    before = counts(home)
    assert purged(home, "--yes", "--rejected")["studies"] == 0
    assert counts(home) == before


def test_a_study_to_which_something_came_since_stays(home: Home) -> None:
    home.age(31)
    home.drop("again today.png", png(1))
    home.work()
    assert purged(home, "--yes")["studies"] == 3
    with home.services.session.begin() as session:
        assert session.query(Study).count() == 1
        assert session.query(ScanFile).filter_by(state=FileState.DUPLICATE).count() == 2
    assert_in_order(home)


@pytest.mark.parametrize("state", [state for state in StudyState if state is not StudyState.REPORTED])
def test_what_is_not_reported_stays_and_so_does_its_archive(home: Home, state: StudyState) -> None:
    with home.services.session.begin() as session:
        (member,) = session.query(ScanFile).filter(ScanFile.original_name.like("%/one.png"))
        study_id = member.study_id
    home.update(Study, Study.id == study_id, state=state)
    home.age(400)
    found = purged(home, "--yes")
    assert (found["studies"], found["archives"]) == (3, 0)
    with home.services.session.begin() as session:
        assert session.get_one(Study, study_id).state == state
        assert session.query(ScanFile).filter(ScanFile.original_name.like("%.zip")).count() == 1


def test_the_same_file_sent_again_is_a_new_study_in_the_old_place(home: Home) -> None:
    report = {path.name for path in (home.outbox / "reports").iterdir()}
    with home.services.session.begin() as session:
        last = max(session.scalars(select(ScanFile.id)))
    home.age(31)
    purged(home, "--yes", "--rejected")
    home.drop(f"{SECRET}.png", png(1))
    home.drop("bad.txt", b"no picture")
    home.work()
    with home.services.session.begin() as session:
        files = session.query(ScanFile).order_by(ScanFile.id).all()
        assert [file.state for file in files] == [FileState.READ, FileState.REJECTED]
        assert all(file.id > last for file in files), "its events, and its folder, would be those of another file"
    assert {path.name for path in (home.outbox / "reports").iterdir()} < report
    assert_in_order(home)


def test_files_that_are_young_on_the_disk_go_later(home: Home) -> None:
    """Restored from a backup that did not keep the times."""
    home.age(31)
    for path in on_disk(home):
        os.utime(path)
    assert purged(home, "--yes", "--rejected")["removed"] <= 2  # folders of rejected files have numbers of their own
    assert_in_order(home)
    home.age(1)
    assert "purge_left_over" in home.troubles()
    assert purged(home, "--yes")["removed"] > 0
    assert on_disk(home) == set()


def test_nothing_is_removed_through_a_link(home: Home, tmp_path: Path) -> None:
    home.age(31)
    elsewhere = shutil.move(home.outbox / "reports", tmp_path / "elsewhere")
    (home.outbox / "reports").symlink_to(elsewhere)
    purged(home, "--yes")
    assert len(list(Path(elsewhere).iterdir())) == 4


def test_what_cannot_be_removed_does_not_count_as_removed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.age(31)

    def refuse(path: str, **_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        assert purged(home, "--yes", "--rejected")["removed"] == 0
    home.age(31)
    assert purged(home, "--yes")["removed"] > 0
    assert on_disk(home) == set()


class CutShortError(Exception):
    """As if killed."""


@pytest.mark.parametrize("moment", range(8))
def test_cut_short_it_leaves_nothing_that_the_next_one_does_not_remove(home: Home, moment: int) -> None:
    home.age(31)
    settings, left = home.services.settings, [moment]

    @contextmanager
    def transaction() -> Iterator[Session]:
        if not left[0]:
            raise CutShortError
        left[0] -= 1
        with home.services.session.begin() as session:
            yield session

    before = datetime.now(UTC) - timedelta(days=30)
    with pytest.raises(CutShortError):
        purge_module.purge(settings, transaction, before, with_rejected=True)
    home.work()
    lasting = home.troubles("--sums") - {"object_orphan", "purge_left_over"}
    assert lasting == set(), "a row without its file"
    purged(home, "--yes", "--rejected")
    assert on_disk(home) == set()
    assert_in_order(home)


@pytest.mark.parametrize("arguments", [(), ("--older-than", "0"), ("--older-than", "x")])
def test_days_must_be_named(home: Home, arguments: tuple[str, ...]) -> None:
    assert home.call("purge", *arguments).exit_code == 2


def test_the_page_is_due(home: Home) -> None:
    home.age(31)
    purged(home, "--yes")
    with home.services.session.begin() as session:
        assert session.query(Chore).one().state == ChoreState.DUE


class TestBesideAWorker:
    """On Postgres, where two transactions may be open at once."""

    @pytest.fixture
    def busy(self, settings: Settings, postgres_engine: Engine, services: ClockedServices) -> Home:
        url = postgres_engine.url.render_as_string(hide_password=False)
        there = ClockedServices(settings.model_copy(update={"database_url": url}))
        there.__dict__.update({name: services.__dict__[name] for name in ("predictor", "bundle")})
        there.clock = datetime.now(UTC)
        home = Home(there)
        home.drop("one.png", png(1))
        home.work()
        home.age(31)
        return home

    def test_it_purges_there_too(self, busy: Home) -> None:
        assert purged(busy, "--yes")["studies"] == 1
        assert on_disk(busy) == set()
        assert_in_order(busy)

    def test_a_duplicate_that_is_filed_keeps_the_study(self, busy: Home) -> None:
        before = datetime.now(UTC) - timedelta(days=30)
        with busy.services.session() as purging:
            (study_id,) = rows.old_studies(purging, before)
            busy.drop("again.png", png(1))
            busy.work()
            assert not rows.forget_study(purging, study_id, before, datetime.now(UTC))

    def test_a_duplicate_of_a_study_that_goes_at_this_moment_is_tried_again(self, busy: Home) -> None:
        before = datetime.now(UTC) - timedelta(days=30)
        with busy.services.session() as filing:
            known = filing.scalars(select(Instance)).one()
            with busy.services.session.begin() as purging:
                assert rows.forget_study(purging, known.study_id, before, datetime.now(UTC))
            queries.add_file(filing, "0" * 32, "again.png", 2, datetime.now(UTC))
            row = filing.query(ScanFile).filter_by(claim_id="0" * 32).one()
            row.study_id = known.study_id
            with pytest.raises(IntegrityError):  # which intake tries again later
                filing.flush()
            filing.rollback()

    def test_a_slice_of_a_study_that_goes_at_this_moment_is_tried_again(
        self, busy: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The study is there when it is inserted, and gone when it is locked."""
        insert_once = queries.insert_once

        def insert_and_purge(session: Session, table: type[Any], unique: str, **values: Any) -> None:
            insert_once(session, table, unique, **values)
            if table is Study:
                session.execute(delete(Study).where(Study.study_uid == values["study_uid"]))

        monkeypatch.setattr(queries, "insert_once", insert_and_purge)
        busy.drop("two.png", png(2))
        with busy.services.session.begin() as session:
            file = session.query(ScanFile).filter_by(original_name="two.png").one()
        with pytest.raises(TransientError, match="purged at this moment"), busy.services.session.begin() as session:
            queries.add_instance(session, file, [header()], None, datetime.now(UTC), QUIET, QUIET_MAX)
