"""`worklist`, `status`, `show`, `retry`: the JSON contract key by key, on a migrated SQLite database."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.worker.rows import LONG_AGO, Database
from worker.cli import app
from worker.store import queries
from worker.store.claims import any_due
from worker.store.models import Study, StudyState

CLASSES = ["Glioma", "Meningioma", "No Tumor", "Pituitary"]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TRIAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "home")


def call(home: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"TRIAGE_HOME": str(home), "COLUMNS": "200"} | environment)


def answer(home: Path, *arguments: str, **environment: str) -> Any:
    result = call(home, *arguments, "--json", **environment)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def three_studies(database: Database) -> tuple[str, str, str]:
    """A routine study, an urgent one of two slices, and one that waits."""
    routine = database.receive("healthy.png")
    database.analyse(routine)
    database.report(routine)
    urgent = database.receive("slice 1.dcm", study_uid="1.2.7", number=1)
    database.receive("slice 2.dcm", study_uid="1.2.7", number=2, at=LONG_AGO + timedelta(seconds=5))
    database.analyse(urgent, tumor=True)
    database.report(urgent, at=LONG_AGO + timedelta(minutes=1))
    waiting = database.receive("new [bold]🧠\n.png", at=LONG_AGO + timedelta(minutes=2))
    return routine, urgent, waiting


class TestWorklist:
    def test_a_row_has_every_key_of_the_contract(self, database: Database) -> None:
        routine, urgent, waiting = three_studies(database)
        rows = answer(database.home, "worklist")
        assert [row["study"] for row in rows] == [urgent, routine, waiting]
        assert rows[0] == {
            "study": urgent,
            "files": ["slice 1.dcm", "slice 2.dcm"],
            "label": "Glioma",
            "probability": pytest.approx(0.9),
            "priority": "urgent",
            "review_reasons": [],
            "state": "reported",
            "revision": 1,
            "received_at": LONG_AGO.isoformat(),
            "reported_at": (LONG_AGO + timedelta(minutes=1)).isoformat(),
            "report": str(database.settings.outbox / f"reports/{urgent}-r1.pdf"),
        }
        last = rows[2]
        assert list(last) == list(rows[0])
        assert last["files"] == ["new [bold]🧠\n.png"]
        assert {key for key, value in last.items() if value is None} == {
            "label", "probability", "priority", "reported_at", "report",
        }  # fmt: skip

    def test_it_is_not_cut_at_the_size_of_the_page(self, database: Database) -> None:
        three_studies(database)
        assert len(answer(database.home, "worklist", TRIAGE_WORKLIST_SIZE="1")) == 3

    def test_people_get_a_table_without_control_characters(self, database: Database) -> None:
        three_studies(database)
        result = call(database.home, "worklist")
        assert result.exit_code == 0
        assert "new [bold]🧠 .png" in result.stdout
        assert "slice 1.dcm and 1 more" in result.stdout
        assert "3 studies" in result.stdout

    def test_an_empty_one_is_an_empty_array(self, database: Database) -> None:
        assert answer(database.home, "worklist") == []


class TestStatus:
    def test_it_has_every_key_of_the_contract(self, database: Database) -> None:
        three_studies(database)
        database.claim("not read yet.png", at=datetime.now(UTC))
        database.reject("bad.txt")
        failed = database.receive("failed.png")
        database.fail(failed)
        found = answer(database.home, "status")
        assert list(found) == [
            "files", "studies", "waiting", "analysing", "queues", "oldest_waiting", "disk", "model", "health",
        ]  # fmt: skip
        assert found["files"] == {
            "claimed": 1, "read": 5, "left_out": 0, "duplicate": 0, "rejecting": 0, "rejected": 1,
        }  # fmt: skip
        assert found["studies"] == {"collecting": 1, "analysed": 0, "rendered": 0, "reported": 2, "failed": 1}
        assert found["waiting"] == {"files": 1, "studies": 1}
        assert found["queues"] == {"intake": 0, "inference": 0, "reports": 0}
        assert found["oldest_waiting"]["since"] == (LONG_AGO + timedelta(minutes=2)).isoformat()
        assert found["oldest_waiting"]["seconds"] > 0
        disk = found["disk"]
        assert disk["home"] == str(database.home)
        assert disk["total_bytes"] >= disk["free_bytes"] > 0
        assert disk["min_free_bytes"] == 512 * 2**20
        assert list(found["health"]) == ["state", "reasons"]

    def test_nothing_waits_when_all_is_reported(self, database: Database) -> None:
        study = database.receive("a.png")
        database.analyse(study)
        database.report(study)
        found = answer(database.home, "status")
        assert found["waiting"] == {"files": 0, "studies": 0}
        assert found["oldest_waiting"] is None

    def test_messages_of_the_embedded_broker_are_counted(self, database: Database) -> None:
        for name in ("1_a.intake.msg", "2_b.intake.msg", "3_c.reports.msg", "4_d.other.msg"):
            (database.settings.broker_folder / name).touch()
        assert answer(database.home, "status")["queues"] == {"intake": 2, "inference": 0, "reports": 1}

    def test_a_broker_that_does_not_answer_and_a_full_disk(self, database: Database, tmp_path: Path) -> None:
        trouble = {"TRIAGE_BROKER_URL": "redis://127.0.0.1:1/0", "TRIAGE_MIN_FREE_BYTES": str(2**60)}
        found = answer(database.home, "status", TRIAGE_MODEL=str(tmp_path / "none"), **trouble)
        assert found["queues"] is None
        assert found["model"] is None
        assert found["health"]["state"] == "degraded"
        broker, disk, model = found["health"]["reasons"]
        assert "broker" in broker
        assert "Intake has stopped" in disk
        assert str(tmp_path / "none") in model

    def test_how_far_a_long_study_is(self, database: Database) -> None:
        assert answer(database.home, "status")["analysing"] == []
        long = database.receive("slice 1.dcm", study_uid="1.2.7")
        with database.sessions.begin() as session:
            study = database.study(session, long)
            study.lease_token, study.lease_until = "held", datetime.now(UTC) + timedelta(minutes=5)
            study.slices_done, study.slices_total = 412, 1000
        found = answer(database.home, "status")["analysing"]
        assert found == [{"study": long, "slices_done": 412, "slices_total": 1000}]
        assert f"study {long}: 412 of 1,000 slices" in call(database.home, "status").stdout

    def test_people_get_words(self, database: Database) -> None:
        three_studies(database)
        result = call(database.home, "status")
        assert result.exit_code == 0
        assert "0 files, 1 studies; the oldest for" in result.stdout
        assert "collecting 1" in result.stdout


class TestShow:
    def test_it_has_every_key_of_the_contract(self, database: Database) -> None:
        _, urgent, _ = three_studies(database)
        found = answer(database.home, "show", urgent)
        assert list(found) == [
            "study", "kind", "state", "priority", "revision", "incomplete", "failure", "received_at", "reported_at",
            "files", "series", "predictions", "findings", "reports", "events",
        ]  # fmt: skip
        assert [file["original_name"] for file in found["files"]] == ["slice 1.dcm", "slice 2.dcm"]
        file = found["files"][0]
        assert list(file) == [
            "sha256", "original_name", "size_bytes", "outcome", "reason", "message", "received_at",
        ]  # fmt: skip
        assert (file["outcome"], file["reason"], len(file["sha256"])) == ("read", None, 64)
        assert found["series"] == [
            {"series_uid": "1.2.7.3", "number": 4, "description": "T1 axial", "modality": "MR", "images": 2}
        ]
        first = found["predictions"][0]
        assert (first["revision"], first["file"], first["sha256"]) == (1, "slice 1.dcm", file["sha256"])
        assert list(first["probabilities"]) == list(first["classifier_probabilities"]) == CLASSES
        assert first["boxes"] == [{"label": "Glioma", "score": 0.8, "xyxy": [10, 20, 30, 44]}]
        (finding,) = found["findings"]
        assert (finding["revision"], finding["label"], finding["priority"]) == (1, "Glioma", "urgent")
        assert (finding["review_reasons"], finding["model"], finding["engine"]) == ([], "test-1", "fake")
        assert sum(finding["probabilities"].values()) == pytest.approx(1)
        (report,) = found["reports"]
        assert report["path"] == str(database.settings.outbox / f"reports/{urgent}-r1.pdf")
        assert [event["kind"] for event in found["events"]] == ["received", "received", "analysed", "reported"]
        assert found["events"][0] == {
            "at": LONG_AGO.isoformat(), "kind": "received", "detail": None, "file": file["sha256"],
        }  # fmt: skip

    def test_both_revisions_are_there_after_a_late_slice(self, database: Database) -> None:
        _, urgent, _ = three_studies(database)
        database.receive("late.dcm", study_uid="1.2.7", number=3, at=LONG_AGO + timedelta(hours=1))
        database.analyse(urgent)
        found = answer(database.home, "show", urgent)
        assert [row["revision"] for row in found["findings"]] == [1, 2]
        assert [row["revision"] for row in found["predictions"]] == [1, 1, 2, 2, 2]
        assert found["revision"] == 2

    def test_an_unknown_study_is_one_sentence(self, database: Database) -> None:
        result = call(database.home, "show", "0" * 12, "--json")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("There is no study '000000000000'")

    def test_people_get_tables(self, database: Database) -> None:
        _, urgent, _ = three_studies(database)
        result = call(database.home, "show", urgent)
        assert result.exit_code == 0
        for words in (f"Study {urgent}, reported, revision 1", "T1 axial", "Glioma 90.0 %", "10 20 30 44", "analysed"):
            assert words in result.stdout


class TestRetry:
    def test_a_failed_study_is_due_again(self, database: Database) -> None:
        public_id = database.receive("a.png")
        database.fail(public_id)
        before = datetime.now(UTC)
        result = call(database.home, "retry", public_id)
        assert (result.exit_code, result.stdout) == (0, "1 study is due to be read again.\n")
        with database.sessions.begin() as session:
            study = database.study(session, public_id)
            assert (study.state, study.attempts, study.failure) == (StudyState.COLLECTING, 0, None)
            assert (study.lease_token, study.lease_until) == (None, None)
            assert study.not_before >= before
            assert study.waiting_since == study.not_before
            assert [event.kind for event in queries.events_of(session, study)][-1] == "retried"
            assert any_due(session, Study, StudyState.COLLECTING, datetime.now(UTC))

    def test_all_failed_ones(self, database: Database) -> None:
        failed = [database.receive(name) for name in ("a.png", "b.png")]
        other = database.receive("c.png")
        for public_id in failed:
            database.fail(public_id)
        assert call(database.home, "retry", "--failed").stdout == "2 studies are due to be read again.\n"
        assert call(database.home, "retry", "--failed").stdout == "0 studies are due to be read again.\n"
        with database.sessions.begin() as session:
            assert [event.kind for event in queries.events_of(session, database.study(session, other))] == ["received"]

    def test_a_study_that_has_not_failed_or_is_not_there(self, database: Database) -> None:
        public_id = database.receive("a.png")
        result = call(database.home, "retry", public_id)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "has not failed: its state is collecting" in result.stderr
        assert "There is no study" in call(database.home, "retry", "nonesuch").stderr

    @pytest.mark.parametrize("arguments", [["retry"], ["retry", "abc", "--failed"]])
    def test_one_of_both_must_be_named(self, database: Database, arguments: list[str]) -> None:
        result = call(database.home, *arguments)
        assert (result.exit_code, result.stderr) == (2, "Name either one STUDY or --failed.\n")


class TestNoDatabase:
    @pytest.mark.parametrize(
        "arguments", [["worklist"], ["status"], ["show", "abc"], ["retry", "--failed"], ["health"]]
    )
    def test_none_is_made_by_accident(self, tmp_path: Path, arguments: list[str]) -> None:
        result = call(tmp_path / "home", *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"There is no database at {tmp_path / 'home' / 'triage.db'}" in result.stderr
        assert "TRIAGE_HOME" in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_another_schema_and_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "triage.db").touch()
        assert "another schema" in call(tmp_path, "worklist").stderr
        (tmp_path / "triage.db").write_bytes(b"not a database " * 500)
        result = call(tmp_path, "worklist")
        assert result.exit_code == 1
        assert result.stderr.startswith("The database does not answer")

    def test_a_server_that_is_away(self, tmp_path: Path) -> None:
        url = "postgresql+psycopg://triage:secret@127.0.0.1:1/triage"
        result = call(tmp_path, "worklist", TRIAGE_DATABASE_URL=url)
        assert result.exit_code == 1
        assert result.stderr.startswith("The database does not answer: ")
        assert "secret" not in result.stderr

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("TRIAGE_DATABASE_URL", "no url"),
            ("TRIAGE_DATABASE_URL", "oracle+nonesuch://u:secret@h/d"),
            ("TRIAGE_QUIET_SECONDS", "-1"),
            ("TRIAGE_QUIET_MAX_SECONDS", "1"),
        ],
    )
    def test_a_wrong_setting_is_one_sentence(self, tmp_path: Path, name: str, value: str) -> None:
        result = call(tmp_path, "worklist", **{name: value})
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert name in result.stderr
        assert "secret" not in result.stderr

    def test_a_password_file_that_is_missing(self, tmp_path: Path) -> None:
        environment = {
            "TRIAGE_DATABASE_URL": "postgresql+psycopg://triage@127.0.0.1:1/triage",
            "TRIAGE_DATABASE_PASSWORD_FILE": str(tmp_path / "none"),
        }
        result = call(tmp_path, "worklist", **environment)
        assert result.exit_code == 2
        assert result.stderr.startswith("TRIAGE_DATABASE_PASSWORD_FILE cannot be read")


class TestPatientText:
    def test_a_command_that_writes_needs_a_whole_key_and_one_that_reads_none(self, database: Database) -> None:
        key = database.settings.pseudonym_key
        key.write_bytes(b"cut")
        off = {"TRIAGE_PATIENT_TEXT": "off"}
        refused = call(database.home, "retry", "--failed", **off)
        assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
        assert "pseudonym.key" in refused.output
        assert "Traceback" not in refused.output
        assert call(database.home, "worklist", **off).exit_code == 0
        key.unlink()
        assert call(database.home, "retry", "--failed", **off).exit_code == 0
