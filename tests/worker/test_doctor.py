"""`doctor`: each check in health and in every trouble that can be made, and the whole without a secret or a name."""

import json
import os
import resource
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from tests.worker.rows import Database
from tests.worker.scans import FakePredictor
from trainer.runtime.bundle import MODEL_CARD
from trainer.runtime.predictor import Predictor
from worker.cli import app
from worker.cli.doctor import Line, State, watching
from worker.cli.doctor import database as database_check
from worker.cli.doctor.broker import check_broker
from worker.cli.doctor.database import check_database
from worker.cli.doctor.examine import run_checks
from worker.cli.doctor.folders import check_disk, check_folders
from worker.cli.doctor.lines import Check, ok
from worker.cli.doctor.machine import check_machine
from worker.cli.doctor.model import check_engine, check_model
from worker.cli.doctor.store import check_store
from worker.cli.doctor.watching import check_watching, file_system
from worker.cli.failure import CommandError
from worker.cli.prediction import load_configured_predictor
from worker.folders import make_folders
from worker.settings import DATABASE_FILE, Settings, WatchMode
from worker.store.objects import MARKER

PATIENT = "Doe^Jane"


@pytest.fixture
def home(tmp_path: Path) -> Database:
    """A home that a worker has started on."""
    return Database(tmp_path / "home")


def call(home: Path, *arguments: str, predictor: object = None, **environment: str) -> Result:
    load = (lambda _: predictor or FakePredictor()) if predictor is not False else None
    variables = {"TRIAGE_HOME": str(home), "TRIAGE_MIN_FREE_BYTES": "1", "COLUMNS": "200"} | environment
    return CliRunner().invoke(app, ["doctor", *arguments], env=variables, obj=load)


def only(check: Check, settings: Settings, state: State) -> Line:
    """The one line of this state, which says what to do unless all is well."""
    lines = [line for line in check(settings) if line.state is state]
    assert len(lines) == 1, list(check(settings))
    assert (lines[0].remedy is None) is (state is State.OK)
    return lines[0]


def all_is_well(check: Check, settings: Settings) -> bool:
    return {line.state for line in check(settings)} == {State.OK}


class TestTheWhole:
    def test_a_home_in_order(self, home: Database) -> None:
        result = call(home.home, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert list(found) == ["state", "lines"]
        assert list(found["lines"][0]) == ["check", "state", "sentence", "remedy"]
        assert found["state"] == "ok", found
        checks = {line["check"] for line in found["lines"]}
        assert checks == {
            "settings", "machine", "folders", "disk", "inbox", "database", "work", "broker", "model", "engine",
        }  # fmt: skip

    def test_before_the_first_start_there_are_warnings(self, tmp_path: Path) -> None:
        result = call(tmp_path / "home")
        assert result.exit_code == 0
        assert "Start the worker once" in result.stdout
        assert result.stdout.rstrip().endswith("warning")
        assert list(tmp_path.iterdir()) == [], "it changes nothing"

    def test_trouble_is_1(self, home: Database) -> None:
        result = call(home.home, TRIAGE_MIN_FREE_BYTES=str(2**60))
        assert result.exit_code == 1
        assert "Make room" in result.stdout
        assert result.stdout.rstrip().endswith("trouble")

    def test_a_wrong_setting_is_a_line(self, home: Database) -> None:
        result = call(home.home, "--json", TRIAGE_QUIET_SECONDS="-1", TRIAGE_THREADS="many")
        assert result.exit_code == 1
        lines = json.loads(result.stdout)["lines"]
        assert [(line["check"], line["state"]) for line in lines] == [("settings", "trouble")] * 2

    def test_no_secret_and_no_name_is_printed(self, home: Database, tmp_path: Path) -> None:
        home.claim(f"{PATIENT}.png")
        (home.settings.inbox / PATIENT).mkdir()
        secret = tmp_path / "password"
        secret.write_text("s3cret")
        result = call(
            home.home,
            TRIAGE_BROKER_URL="redis://:hunter2@127.0.0.1:1/0",
            TRIAGE_DATABASE_URL="postgresql+psycopg://triage@127.0.0.1:1/triage",
            TRIAGE_DATABASE_PASSWORD_FILE=str(secret),
        )
        assert result.exit_code == 1
        assert not any(word in result.output for word in ("hunter2", "s3cret", PATIENT))


class TestStore:
    def test_all_is_well(self, home: Database) -> None:
        home.receive("a.png")
        assert all_is_well(check_store, home.settings)

    @pytest.mark.parametrize("is_mount_point", [False, True])
    def test_one_that_is_away(self, home: Database, is_mount_point: bool) -> None:
        home.receive("a.png")
        home.settings.store.rename(home.home / "moved")
        if is_mount_point:
            home.settings.store.mkdir()
        line = only(check_store, home.settings, State.TROUBLE)
        assert "is not their store" in line.sentence
        assert line.remedy is not None
        assert line.remedy.startswith("Mount it or move it back")
        result = call(home.home)
        assert result.exit_code == 1
        assert "Start the worker once" not in result.stdout

    def test_one_that_is_not_there_yet(self, home: Database) -> None:
        shutil.rmtree(home.settings.store)
        assert "is not there yet" in only(check_store, home.settings, State.WARNING).sentence

    def test_one_without_its_marker(self, home: Database) -> None:
        home.receive("a.png")
        (home.settings.store / MARKER).unlink()
        (home.settings.store / "ab").mkdir()
        assert only(check_store, home.settings, State.WARNING).remedy == "Restart the worker, which makes it."

    def test_one_that_others_may_read(self, home: Database) -> None:
        home.settings.store.chmod(0o755)
        assert only(check_store, home.settings, State.WARNING).remedy == f"chmod 700 {home.settings.store}"

    def test_one_that_is_no_folder(self, home: Database) -> None:
        shutil.rmtree(home.settings.store)
        home.settings.store.touch()
        assert "store cannot be written to (ENOTDIR)" in only(check_store, home.settings, State.TROUBLE).sentence


class TestTime:
    def test_what_does_not_answer_is_a_line_and_the_rest_goes_on(self, settings: Settings) -> None:
        done = threading.Event()

        def hangs(_: Settings) -> Iterator[Line]:
            done.wait()
            yield ok("share", "too late")

        def answers(_: Settings) -> Iterator[Line]:
            yield ok("next", "here")

        lines = list(run_checks(settings, [("share", hangs, 0.05), ("next", answers, 5.0)]))
        done.set()
        assert [(line.check, line.state) for line in lines] == [("share", State.TROUBLE), ("next", State.OK)]

    def test_a_bug_is_raised(self, settings: Settings) -> None:
        def has_a_bug(_: Settings) -> Iterator[Line]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            list(run_checks(settings, [("bug", has_a_bug, 5.0)]))


class TestSettings:
    def test_a_variable_that_nothing_reads(self, home: Database) -> None:
        result = call(home.home, TRIAGE_QUITE_SECONDS="3", TRIAGE_XYZZY="3")
        assert result.exit_code == 0
        assert "Did you mean TRIAGE_QUIET_SECONDS?" in result.stdout
        assert "TRIAGE_XYZZY is no setting" in result.stdout

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("TRIAGE_BROKER_URL", "memory://", "the database is SQLite"),
            ("TRIAGE_DATABASE_URL", "postgresql+psycopg://u@127.0.0.1:1/d", "the broker is a folder"),
        ],
    )
    def test_half_a_scale_out(self, home: Database, name: str, value: str, said: str) -> None:
        lines = json.loads(call(home.home, "--json", **{name: value}).stdout)["lines"]
        assert any(said in line["sentence"] and line["state"] == "warning" for line in lines)

    def test_a_password_file_for_everybody(self, home: Database, tmp_path: Path) -> None:
        secret = tmp_path / "password"
        secret.write_text("s3cret")
        secret.chmod(0o644)
        environment = {"TRIAGE_BROKER_URL": "memory://", "TRIAGE_BROKER_PASSWORD_FILE": str(secret)}
        assert "The file of TRIAGE_BROKER_PASSWORD_FILE can be read" in call(home.home, **environment).stdout
        secret.chmod(0o600)
        assert "can be read" not in call(home.home, **environment).stdout


class TestFolders:
    def test_all_is_well(self, settings: Settings) -> None:
        assert all_is_well(check_folders, settings)

    def test_one_that_is_missing(self, settings: Settings) -> None:
        shutil.rmtree(settings.broker_folder)
        assert "is not there yet" in only(check_folders, settings, State.WARNING).sentence

    def test_one_that_is_a_file(self, settings: Settings) -> None:
        shutil.rmtree(settings.outbox)
        settings.outbox.touch()
        assert "outbox cannot be written to (ENOTDIR)" in only(check_folders, settings, State.TROUBLE).sentence

    def test_one_that_others_may_read(self, settings: Settings) -> None:
        settings.claimed.chmod(0o755)
        assert only(check_folders, settings, State.WARNING).remedy == f"chmod 700 {settings.claimed}"

    def test_a_home_that_others_may_write_to(self, settings: Settings) -> None:
        settings.home.chmod(0o777)
        assert "written to by others" in only(check_folders, settings, State.WARNING).sentence

    def test_a_database_that_others_may_read(self, settings: Settings) -> None:
        (settings.home / DATABASE_FILE).chmod(0o644)
        assert only(check_folders, settings, State.WARNING).remedy == f"chmod 600 {settings.home / DATABASE_FILE}"

    def test_claims_on_another_file_system(self, settings: Settings) -> None:
        if Path("/dev/shm").stat().st_dev == settings.home.stat().st_dev:
            pytest.skip("/dev/shm is on the file system of the tests")
        shutil.rmtree(settings.claimed)
        settings.claimed.symlink_to("/dev/shm")
        assert "on another file system" in only(check_folders, settings, State.TROUBLE).sentence

    def test_a_home_that_cannot_be_made(self) -> None:
        line = only(check_folders, Settings(home=Path("/proc/nowhere/home")), State.TROUBLE)
        assert "cannot be made" in line.sentence


def test_the_disk(settings: Settings) -> None:
    free = shutil.disk_usage(settings.home).free
    for needed, state in ((0, State.OK), (int(free * 0.7), State.WARNING), (2 * free, State.TROUBLE)):
        only(check_disk, settings.model_copy(update={"min_free_bytes": needed}), state)


class TestWatching:
    @pytest.fixture
    def limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "max_user_watches").write_text("3\n")
        (tmp_path / "max_user_instances").write_text("128\n")
        monkeypatch.setattr(watching, "LIMITS", tmp_path)
        return tmp_path

    @pytest.fixture
    def mount(self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        def mounted(kind: str, below: Path = settings.home) -> None:
            table = tmp_path / "mountinfo"
            table.write_text(
                "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                f"2 1 0:5 / {str(below).replace(' ', chr(92) + '040')} rw shared:1 - {kind} server:/x rw\n"
            )
            monkeypatch.setattr(watching, "MOUNTS", table)

        return mounted

    def test_all_is_well(self, settings: Settings) -> None:
        assert all_is_well(check_watching, settings)

    def test_more_folders_than_watches(self, settings: Settings, limits: Path) -> None:
        assert all_is_well(check_watching, settings)  # inbox, .claimed, stat
        (settings.inbox / PATIENT).mkdir()
        line = only(check_watching, settings, State.WARNING)
        assert "4 folders, and fs.inotify.max_user_watches is 3" in line.sentence
        assert limits.is_dir()

    def test_no_instance_left(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        held = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))  # ends as the limit of instances does: no descriptor
        try:
            while watching._one_more_instance():
                held.append(os.dup(0))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in held:
                os.close(descriptor)
        monkeypatch.setattr(watching, "_one_more_instance", lambda: False)
        assert "max_user_instances=" in (only(check_watching, settings, State.WARNING).remedy or "")

    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
    def test_a_network_share(self, settings: Settings, mount: Any, kind: str) -> None:
        mount(kind)
        away = settings.model_copy(update={"database_url": "postgresql+psycopg://u@h/d"})
        assert only(check_watching, away, State.WARNING).remedy == "Set TRIAGE_WATCH=polling."
        assert all_is_well(check_watching, away.model_copy(update={"watch": WatchMode.POLLING}))
        assert "SQLite" in only(check_watching, settings, State.TROUBLE).sentence

    def test_the_mount_with_the_longest_path_counts(self, settings: Settings, mount: Any, tmp_path: Path) -> None:
        mount("nfs4", tmp_path / "with blank")
        assert file_system(settings.inbox) == "ext4"
        assert file_system(tmp_path / "with blank" / "below" / "it") == "nfs4"


class TestDatabase:
    def test_all_is_well(self, home: Database) -> None:
        assert all_is_well(check_database, home.settings)

    @pytest.mark.parametrize(
        ("revision", "state", "said"),
        [("0004", State.WARNING, "has schema 0004"), ("9999", State.TROUBLE, "it is older")],
    )
    def test_another_schema(self, home: Database, revision: str, state: State, said: str) -> None:
        with home.sessions.begin() as session:
            session.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
        assert said in only(check_database, home.settings, state).sentence

    def test_no_schema_at_all(self, settings: Settings) -> None:
        assert "has schema none" in only(check_database, settings, State.WARNING).sentence

    def test_a_file_that_is_no_database(self, settings: Settings) -> None:
        (settings.home / DATABASE_FILE).write_bytes(b"not a database " * 500)
        assert "does not answer" in only(check_database, settings, State.TROUBLE).sentence

    def test_work_that_nobody_takes(self, home: Database) -> None:
        home.receive(f"{PATIENT}.png")
        assert only(check_database, home.settings, State.TROUBLE).sentence.startswith("Work for 'analyse' has been due")

    def test_the_clock_of_a_server(
        self, settings: Settings, postgres_engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = postgres_engine.url.render_as_string(hide_password=False)
        away = settings.model_copy(update={"database_url": url})
        assert all_is_well(check_database, away)
        for seconds, state in ((5, State.WARNING), (60, State.TROUBLE)):

            class Skewed(datetime):
                ahead = timedelta(seconds=seconds)

                @classmethod
                def now(cls, tz: Any = None) -> datetime:
                    return datetime.now(tz or UTC) + cls.ahead

            monkeypatch.setattr(database_check, "datetime", Skewed)
            assert only(check_database, away, state).check == "clock"


class TestBroker:
    def test_all_is_well(self, settings: Settings) -> None:
        assert all_is_well(check_broker, settings)

    def test_one_that_is_away(self, settings: Settings) -> None:
        away = settings.model_copy(update={"broker_url": "redis://:secret@127.0.0.1:1/0"})
        assert "does not answer" in only(check_broker, away, State.TROUBLE).sentence

    def test_an_url_that_is_none(self, settings: Settings) -> None:
        odd = settings.model_copy(update={"broker_url": "pigeon://127.0.0.1"})
        assert "is not a broker URL" in only(check_broker, odd, State.TROUBLE).sentence

    def test_a_redis_that_evicts(self, settings: Settings, redis_url: str) -> None:
        there = settings.model_copy(update={"broker_url": redis_url})
        assert all_is_well(check_broker, there)
        client = redis.Redis.from_url(redis_url)
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "allkeys-lru" in only(check_broker, there, State.WARNING).sentence
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.close()


class TestModel:
    def test_all_is_well(self, settings: Settings) -> None:
        assert all_is_well(check_model, settings)

    def test_one_with_another_file(self, settings: Settings, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        shutil.copytree(settings.model_folder, folder)
        (folder / "calibration.json").write_text("{}")
        damaged = settings.model_copy(update={"model": folder})
        assert "calibration.json" in only(check_model, damaged, State.TROUBLE).sentence
        (folder / MODEL_CARD).unlink()
        missing = settings.model_copy(update={"model": tmp_path / "none"})
        only(check_model, missing, State.TROUBLE)

    def test_the_engine_reads(self, settings: Settings) -> None:
        read: list[Any] = []

        class Noticing(FakePredictor):
            def predict(self, images: Any, *_: object, **__: object) -> Any:
                read.extend(images)
                return super().predict(images)

        predictor: Any = Noticing()
        (line,) = check_engine(settings, lambda _: predictor)
        assert line.state is State.OK
        assert "engine fake reads a slice in" in line.sentence
        assert [(image.shape, image.dtype) for image in read] == [((256, 256), np.uint8)]

    def test_an_engine_that_does_not_load(self, settings: Settings) -> None:
        def fails(_: Settings) -> Predictor:
            raise CommandError("There is no GPU.")

        (line,) = check_engine(settings, fails)
        assert (line.state, line.sentence) == (State.TROUBLE, "There is no GPU.")

    def test_the_bundled_one(self, settings: Settings) -> None:
        (line,) = check_engine(settings, load_configured_predictor)
        assert line.state is State.OK


def test_few_open_files(settings: Settings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert "512 files open" in only(check_machine, settings, State.WARNING).sentence
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard > 0 else 4096, hard))
        assert all_is_well(check_machine, settings)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_runs_on_what_make_folders_makes(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "new")
    make_folders(settings)
    assert all_is_well(check_folders, settings)
