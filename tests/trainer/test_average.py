"""The mean of several runs' weights: a run folder that says what it is made of, or a refusal."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainer import average
from trainer.card_training import training_lines
from trainer.export import read_run
from trainer.run_record import RunRecord
from trainer.runtime.bundle import file_sha256, read_manifest


@pytest.fixture
def runs(run_folder: Path, tmp_path: Path) -> list[Path]:
    """The weights of a run, and of one whose floating-point weights are all one larger."""
    first, second = (shutil.copytree(run_folder, tmp_path / name) / "model.safetensors" for name in ("a", "b"))
    weights = load_file(first)
    save_file({name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in weights.items()}, second)
    return [first, second]


def command(runs: list[Path], out: Path, *options: str) -> list[str]:
    return ["--weights", *map(str, runs), "--run", str(out), *options]


def test_shares_need_not_sum_to_one(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "mean"
    assert average.main(command(runs, out, "--shares", "3", "1")) == 0
    before, mean = load_file(runs[0]), load_file(out / "model.safetensors")
    assert mean.keys() == before.keys()
    for name, tensor in before.items():
        wanted = tensor + 0.25 if tensor.is_floating_point() else tensor
        assert torch.allclose(mean[name], wanted, atol=1e-5), name
        assert mean[name].dtype == tensor.dtype


def test_it_says_what_it_is_made_of(runs: list[Path], tmp_path: Path, model_folder: Path) -> None:
    out = tmp_path / "mean"
    assert average.main(command(runs, out)) == 0
    record = RunRecord.read(out)
    assert record is not None
    assert [(each.source, each.sha256, each.share) for each in record.mean_of or ()] == [
        (f"{run.parent.name}/model.safetensors", file_sha256(run), 0.5) for run in runs
    ]
    assert read_run(out).record == record, "it can be exported"
    lines = "".join(training_lines(record, read_manifest(model_folder)))
    assert f"50% of `b/model.safetensors` (sha256 `{file_sha256(runs[1])}`)" in lines


def test_weights_of_a_model_folder_will_do(runs: list[Path], model_folder: Path, tmp_path: Path) -> None:
    assert average.main(command([model_folder / "model.safetensors", runs[0]], tmp_path / "mean")) == 0
    mean, exact = load_file(tmp_path / "mean" / "model.safetensors"), load_file(runs[0])
    assert all(tensor.dtype == exact[name].dtype for name, tensor in mean.items())
    assert torch.allclose(mean["classifier.weight"], exact["classifier.weight"], atol=1e-3)


def change_recipe(folder: Path) -> None:
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe | {"size": 96}))


def change_network(folder: Path) -> None:
    save_file({"classifier.weight": torch.zeros(4, 8)}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "training-files.csv").write_text("name,sha256\n"), "was trained on other images"),
        (lambda folder: (folder / "held-out-files.csv").unlink(), "cannot be read"),
        (change_recipe, "has size 96"),
        (change_network, "holds another network"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cannot be read"),
        (lambda folder: (folder / "recipe.json").unlink(), "neither a run nor a model folder"),
        (lambda folder: (folder / "run.json").unlink(), "does not say how its weights came about"),
    ],
)
def test_refusals(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage, sentence: str) -> None:
    damage(runs[1].parent)
    assert average.main(command(runs, tmp_path / "mean")) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "mean").exists()


def test_nothing_is_overwritten(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert average.main(command(runs, runs[0].parent)) == 2
    assert "exists" in capsys.readouterr().err
