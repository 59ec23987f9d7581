"""Settings from the environment, checked once."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from worker import settings as module
from worker.settings import PageFormat, Settings, WatchMode


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("p@ss/w:rd %\n")
    return path


class TestDefaults:
    def test_everything_lies_under_home(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        settings = Settings()
        home = tmp_path / "triage-home"
        assert settings.home == home
        assert (settings.inbox, settings.claimed, settings.outbox, settings.store, settings.broker_folder) == (
            home / "inbox", home / "inbox" / ".claimed", home / "outbox", home / "store", home / "broker",
        )  # fmt: skip
        assert settings.resolved_database_url == f"sqlite:///{home}/triage.db"
        assert (settings.embedded_broker, settings.resolved_broker_url) == (True, "filesystem://localhost")

    def test_home_may_be_the_users(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("TRIAGE_HOME", "~/scans")
        assert Settings().home == tmp_path / "scans"

    def test_cores_are_shared_among_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module.os, "cpu_count", lambda: 8)
        assert Settings(concurrency=2).inference_threads == 4
        assert Settings(concurrency=16).inference_threads == 1
        assert Settings(threads=3).inference_threads == 3


class TestEnvironment:
    def test_values_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = {"WATCH": "polling", "PAGE_FORMAT": "Letter", "SHARE_MODE": "2775", "LOG_JSON": "1", "CLAIM_SIZE": "7"}
        for name, value in values.items():
            monkeypatch.setenv(f"TRIAGE_{name}", value)
        settings = Settings()
        assert (settings.watch, settings.page_format, settings.log_json, settings.claim_size) == (
            WatchMode.POLLING, PageFormat.LETTER, True, 7,
        )  # fmt: skip
        assert settings.share_mode == 0o2775

    @pytest.mark.parametrize("text", ["770", "0o770", "0770"])
    def test_the_share_mode_is_octal(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv("TRIAGE_SHARE_MODE", text)
        assert Settings().share_mode == 0o770

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SHARE_MODE", "789"), ("SHARE_MODE", "rwx"), ("WATCH", "magic"), ("ENGINE", "abacus"),
            ("CLAIM_SIZE", "0"), ("CLAIM_SIZE", "1001"), ("SETTLE_SECONDS", "0"), ("SETTLE_SECONDS", "soon"),
            ("QUIET_SECONDS", "-1"), ("MAX_ATTEMPTS", "0"), ("BATCH_SIZE", "0"), ("LEASE_SECONDS", "0"),
            ("CONCURRENCY", "0"), ("THREADS", "-1"), ("PAGE_FORMAT", "A3"), ("MIN_FREE_BYTES", "-1"),
        ],
    )  # fmt: skip
    def test_a_bad_value_is_refused_by_name(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        monkeypatch.setenv(f"TRIAGE_{name}", value)
        with pytest.raises(ValidationError, match=name.lower()):
            Settings()

    def test_the_cap_of_the_quiet_period_is_not_below_it(self) -> None:
        with pytest.raises(ValidationError, match="TRIAGE_QUIET_MAX_SECONDS"):
            Settings(quiet_seconds=30, quiet_max_seconds=29)
        Settings(quiet_seconds=30, quiet_max_seconds=30)

    def test_a_task_has_time_for_the_largest_file(self) -> None:
        with pytest.raises(ValidationError, match="TRIAGE_TASK_TIME_LIMIT_SECONDS must be at least 2570, which"):
            Settings(task_time_limit_seconds=2569)
        Settings(task_time_limit_seconds=2570)
        Settings(task_time_limit_seconds=20, max_file_bytes=2**20)


class TestPasswords:
    @pytest.mark.parametrize(
        ("url", "resolved"),
        [
            ("postgresql+psycopg://triage@db:5432/triage", "postgresql+psycopg://triage:{}@db:5432/triage"),
            ("postgresql+psycopg://triage:old@db/triage", "postgresql+psycopg://triage:{}@db/triage"),
        ],
    )
    def test_of_the_database_come_from_a_file(self, password_file: Path, url: str, resolved: str) -> None:
        settings = Settings(database_url=url, database_password_file=password_file)
        assert settings.resolved_database_url == resolved.format("p%40ss%2Fw%3Ard%20%25")

    @pytest.mark.parametrize("url", ["redis://redis:6379/0", "redis://:old@redis:6379/0"])
    def test_of_the_broker_come_from_a_file(self, password_file: Path, url: str) -> None:
        settings = Settings(broker_url=url, broker_password_file=password_file)
        assert settings.resolved_broker_url == "redis://:p%40ss%2Fw%3Ard%20%25@redis:6379/0"

    @pytest.mark.parametrize(
        ("url", "resolved"),
        [
            ("rediss://h/0", "rediss://h/0?ssl_cert_reqs=required&ssl_check_hostname=true"),
            (
                "rediss://h?ssl_ca_certs=/ca",
                "rediss://h?ssl_ca_certs=/ca&ssl_cert_reqs=required&ssl_check_hostname=true",
            ),
            ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
            ("redis://h/0", "redis://h/0"),
        ],
    )
    def test_a_brokers_certificate_is_checked_unless_the_url_says_otherwise(self, url: str, resolved: str) -> None:
        assert Settings(broker_url=url).resolved_broker_url == resolved

    def test_a_query_keeps_its_signs(self, password_file: Path) -> None:
        settings = Settings(
            database_url="postgresql+psycopg://u@h/d?sslrootcert=/a@b", database_password_file=password_file
        )
        assert settings.resolved_database_url == "postgresql+psycopg://u:p%40ss%2Fw%3Ard%20%25@h/d?sslrootcert=/a@b"

    @pytest.mark.parametrize(("mode", "names"), [(0o600, ()), (0o640, ("TRIAGE_BROKER_PASSWORD_FILE",))])
    def test_a_file_that_others_can_read_is_known(self, password_file: Path, mode: int, names: tuple[str, ...]) -> None:
        password_file.chmod(mode)
        missing = password_file.with_name("missing")
        settings = Settings(broker_password_file=password_file, database_password_file=missing)
        assert settings.exposed_password_files == names

    def test_those_of_a_container_are_its_own(self, monkeypatch: pytest.MonkeyPatch, password_file: Path) -> None:
        monkeypatch.setattr(module, "CONTAINER_SECRETS", password_file.parent)
        password_file.chmod(0o444)
        assert Settings(broker_password_file=password_file).exposed_password_files == ()

    def test_without_a_file_the_url_stays(self) -> None:
        settings = Settings(database_url="postgresql+psycopg://u:p@h/d", broker_url="redis://h/1")
        assert settings.resolved_database_url == "postgresql+psycopg://u:p@h/d"
        assert (settings.resolved_broker_url, settings.embedded_broker) == ("redis://h/1", False)

    def test_a_missing_file_is_an_error_rather_than_no_password(self, tmp_path: Path) -> None:
        settings = Settings(broker_url="redis://h/1", broker_password_file=tmp_path / "missing")
        with pytest.raises(FileNotFoundError):
            _ = settings.resolved_broker_url


class TestModel:
    @pytest.fixture
    def models(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        monkeypatch.setattr(module, "BUNDLED_MODELS", tmp_path)
        return tmp_path

    def test_a_configured_folder_is_taken(self, models: Path) -> None:
        assert Settings(model=models / "mine").model_folder == models / "mine"

    def test_else_the_newest_bundled_one(self, models: Path) -> None:
        for name in ("2025-01", "2025-03", "2025-02"):
            (models / name).mkdir()
            (models / name / "model.json").touch()
        (models / "2026-unfinished").mkdir()
        assert Settings().model_folder == models / "2025-03"

    @pytest.mark.usefixtures("models")
    def test_none_at_all_says_what_to_set(self) -> None:
        with pytest.raises(FileNotFoundError, match="TRIAGE_MODEL"):
            _ = Settings().model_folder
