"""The command line of training, on the small data set."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from trainer import fit
from trainer.run_folder import start_weights


def tiny(data: Path) -> list[str]:
    """The command line of the `run_folder` fixture."""
    return ["--data", str(data), "--scratch", "--size", "64", "--epochs", "2", "--batch-size", "8"]


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_the_run_folder_says_what_the_run_was(run_folder: Path) -> None:
    recipe = json.loads((run_folder / "recipe.json").read_text())
    assert (recipe["name"], recipe["size"], recipe["epochs"]) == ("default", 64, 2)
    assert json.loads((run_folder / "run.json").read_text()) == {"seed": 1, "start_weights": {"source": "scratch"}}
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
    before = contents(run_folder)
    assert fit.main([*tiny(data), "--run", str(run_folder)]) == 0
    assert contents(run_folder) == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["--epochs", "3"], "another recipe (epochs)"),
        (["--seed", "2"], "another seed (1)"),
        (["--limit", "9"], "other data (see its training-files.csv and held-out-files.csv)"),
    ],
)
def test_another_run_is_refused_and_the_folder_left_as_it_is(
    changes: list[str], sentence: str, data: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run_folder)
    assert fit.main([*tiny(data), *changes, "--run", str(run_folder)]) == 2
    assert f"holds a run of {sentence}: choose another --run folder." in capsys.readouterr().err
    assert contents(run_folder) == before


def test_a_changed_image_is_other_data(data: Path, run_folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(data, tmp_path / "data")
    with next((changed / "Train" / "Pituitary" / "images").iterdir()).open("ab") as image:
        image.write(b"a byte more")
    before = contents(run_folder)
    assert fit.main([*tiny(changed), "--run", str(run_folder)]) == 2
    assert contents(run_folder) == before


def test_a_run_without_a_recorded_seed_is_gone_on_with(data: Path, run_folder: Path, tmp_path: Path) -> None:
    older = shutil.copytree(run_folder, tmp_path / "older")
    (older / "run.json").unlink()
    assert fit.main([*tiny(data), "--run", str(older)]) == 0


def test_what_cannot_be_trained_leaves_no_records(data: Path, tmp_path: Path) -> None:
    assert fit.main([*tiny(data), "--batch-size", "500", "--run", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run").exists()


def test_the_first_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "resnet50.safetensors").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    named = {"source": "resnet50.safetensors", "sha256": digest}
    assert start_weights(tmp_path / "resnet50.safetensors", scratch=False) == named
    assert start_weights(None, scratch=False) == {"source": "torchvision IMAGENET1K_V2"}


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
