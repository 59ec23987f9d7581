"""The command line of training, on the small data set."""

import csv
import json
from pathlib import Path

import pytest

from trainer import fit


def test_the_run_folder_says_what_the_run_was(run_folder: Path) -> None:
    recipe = json.loads((run_folder / "recipe.json").read_text())
    assert (recipe["name"], recipe["size"], recipe["epochs"]) == ("default", 64, 2)
    with (run_folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2]
    for name in ("model.safetensors", "curves.png", "training-samples.png"):
        assert (run_folder / name).stat().st_size > 1000
    assert (run_folder / "held-out-files.csv").read_text().startswith("name,sha256\n")


def test_the_published_recipe(data: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(data), "--recipe", "seed", "--scratch", "--size", "64", "--epochs", "1",
                 "--batch-size", "8", "--limit", "5", "--run", str(tmp_path / "run")]  # fmt: skip
    assert fit.main(arguments) == 0
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["boxes"] is False


def test_a_finished_run_is_left_as_it_is(data: Path, run_folder: Path) -> None:
    before = (run_folder / "model.safetensors").stat().st_mtime_ns
    arguments = ["--data", str(data), "--scratch", "--size", "64", "--epochs", "2", "--batch-size", "8"]
    assert fit.main([*arguments, "--run", str(run_folder)]) == 0
    assert (run_folder / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "nowhere"], "nowhere/Train/Glioma/images is missing"),
        (["--size", "100"], "--size 100 is not a multiple of 32"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit.main([*arguments, "--run", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("trainer.fit: ")
    assert sentence in error
