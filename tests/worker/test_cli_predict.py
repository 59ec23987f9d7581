"""`predict` as it is called: the JSON contract key by key, the table, the exit codes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.worker.scans import BOX, FakePredictor, archive, dicom, png, write
from worker.cli import app
from worker.inbox_walk import MOST_LEVELS

KEYS = [
    "path", "files", "status", "reason", "label", "probabilities", "boxes", "priority", "review_reasons", "model",
    "lesions",
]  # fmt: skip


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TRIAGE_")]:
        monkeypatch.delenv(name)


def call(*arguments: object, **environment: str) -> Result:
    """Run the command with a fake predictor in place of the configured one."""
    words = ["predict", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(app, words, obj=lambda _settings: FakePredictor(), env=environment)


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_study_has_every_key_of_the_contract(tmp_path: Path) -> None:
    folder = write(tmp_path, {"1.dcm": dicom(7, 1), "2.dcm": dicom(7, 2, level=150)})
    (line,) = lines(call("--json", folder))
    assert list(line) == KEYS
    assert line["path"] == str(folder)
    assert line["files"] == [
        {"path": str(folder / name), "status": "read", "reason": None, "message": None} for name in ("1.dcm", "2.dcm")
    ]
    assert (line["status"], line["reason"], line["model"]) == ("ok", None, "test-1")
    assert list(line["probabilities"]) == ["Glioma", "Meningioma", "No Tumor", "Pituitary"]
    assert sum(line["probabilities"].values()) == pytest.approx(1)
    assert line["label"] == max(line["probabilities"], key=line["probabilities"].__getitem__)
    box = {"label": "Glioma", "score": 0.8, "xyxy": list(BOX), "file": str(folder / "2.dcm"), "frame": 1}
    corners = [[x - 0.5, y - 0.5, 2.0] for y in (BOX[1], BOX[3]) for x in (BOX[0], BOX[2])]  # of pixels, not centres
    assert line["boxes"] == [box | {"corners_mm": corners, "lesion": None}]  # on one thin slice of two
    assert line["lesions"] == []
    assert line["priority"] in {"urgent", "review", "routine"}
    assert isinstance(line["review_reasons"], list)


def test_a_lesion_has_its_size(tmp_path: Path) -> None:
    (line,) = lines(call("--json", write(tmp_path, {f"{n}.dcm": dicom(7, n, level=150) for n in (1, 2)})))
    assert [box["lesion"] for box in line["boxes"]] == [1, 1]
    (lesion,) = line["lesions"]
    assert 0 < lesion.pop("probability") < 1
    assert lesion == {
        "number": 1, "label": "Glioma", "score": 0.8, "slices": 2,
        "diameter_mm": max(BOX[2] - BOX[0], BOX[3] - BOX[1]), "extent_mm": 2.0,
    }  # fmt: skip


def test_a_rejected_file_has_them_too(tmp_path: Path) -> None:
    folder = write(tmp_path, {"text.jpg": b"not a picture " * 9})
    (line,) = lines(call("--json", folder / "text.jpg"))
    assert list(line) == KEYS
    (file,) = line["files"]
    assert list(file) == ["path", "status", "reason", "message"]
    assert (file["path"], file["status"], file["reason"]) == (line["path"], "rejected", "not_an_image")
    assert file["message"].endswith(".")
    assert (line["status"], line["reason"]) == ("rejected", "not_an_image")
    assert (line["label"], line["probabilities"], line["priority"]) == (None, None, None)
    assert (line["boxes"], line["review_reasons"]) == ([], [])


def test_an_archive_is_unpacked_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    packed = write(tmp_path / "in", {"study.zip": archive({"1.dcm": dicom(7, 1), "2.dcm": dicom(7, 2)})})
    (line,) = lines(call("--json", packed / "study.zip"))
    assert line["path"] == str(packed / "study.zip")
    assert [file["path"] for file in line["files"]] == [f"{packed}/study.zip/{number}.dcm" for number in (1, 2)]
    assert list(scratch.iterdir()) == []


def test_names_of_any_bytes_are_one_ascii_line_each(tmp_path: Path) -> None:
    for name in (b"bad\xff.png", "new\nline 🧠.png".encode(), b'quote".png'):
        (tmp_path / os.fsdecode(name)).write_bytes(png(1))
    result = call("--json", tmp_path)
    found = [os.path.relpath(line["path"], tmp_path) for line in lines(result)]
    assert sorted(found) == sorted(["bad\\xff.png", "new\nline 🧠.png", 'quote".png'])
    assert result.stdout.isascii()


def test_the_same_input_gives_the_same_output(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"{n}/{n}.png": png(n) for n in range(5)} | {f"d/{n}.dcm": dicom(7, n) for n in (3, 1)})
    assert call("--json", folder).stdout == call("--json", folder).stdout


def test_a_missing_path_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    result = call("--json", write(tmp_path, {"a.png": png(1)}), tmp_path / "gone.png")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"There is no file or folder {tmp_path / 'gone.png'}.\n"


def test_nothing_to_read_is_no_error(tmp_path: Path) -> None:
    assert lines(call("--json", tmp_path)) == []


def test_folders_that_are_too_deep_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": png(1)})
    tmp_path.joinpath(*["a"] * (MOST_LEVELS + 1)).mkdir(parents=True)
    result = call("--json", tmp_path)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.startswith("Folders nested too deeply (below 64 levels")
    assert len(result.stderr.splitlines()) == 1


def test_no_model_is_one_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.png": png(1)})
    environment = {"TRIAGE_MODEL": str(tmp_path / "none"), "TRIAGE_HOME": str(tmp_path / "home")}
    result = CliRunner().invoke(app, ["predict", "--json", str(folder)], env=environment)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert str(tmp_path / "none") in result.stderr
    assert not (tmp_path / "home").exists(), "predict makes no TRIAGE_HOME"


def test_a_wrong_setting_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    result = call("--json", tmp_path, TRIAGE_BATCH_SIZE="0", TRIAGE_ENGINE="abacus")
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("TRIAGE_ENGINE: ")
    assert "'abacus'" in first
    assert second.startswith("TRIAGE_BATCH_SIZE: ")


def test_people_get_a_table(tmp_path: Path) -> None:
    files = {"a.png": png(1, 150), "b [red]x\x1b[31m.png": png(2), "c.png": b"text"}
    result = call(write(tmp_path, files), COLUMNS="220")
    assert result.exit_code == 0
    assert "Glioma 90.0 %" in result.stdout
    assert "b [red]x [31m.png" in result.stdout
    assert "\x1b" not in result.stdout
    assert "1 urgent, 0 review, 1 routine, 1 rejected" in result.stdout
    assert "Research use only" in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["--version"]])
def test_the_command_starts_in_well_under_a_second(arguments: list[str]) -> None:
    heavy = ("torch", "openvino", "celery", "kombu", "sqlalchemy", "pydicom", "numpy")
    code = (
        "import sys, worker.cli\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try:\n    worker.cli.main()\n"
        "finally:\n"
        f"    loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "    assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_reader_that_stops_early_is_no_traceback() -> None:
    command = [sys.executable, "-m", "worker", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_bar_on_the_terminal_leaves_the_output_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {f"{number}.png": png(number) for number in range(3)})
    code = (
        "import sys; from worker.cli import app; from tests.worker.scans import FakePredictor\n"
        "app(sys.argv[1:], obj=lambda _settings: FakePredictor())"
    )
    terminal, stderr = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", "--json", str(folder)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=os.environ | {"TERM": "xterm"},
        check=True,
        timeout=60,
    )
    os.close(stderr)
    shown = os.read(terminal, 100_000)
    os.close(terminal)
    assert b"Reading" in shown
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["ok"] * 3
