"""A run that was interrupted ends as one that was not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainer.dataset import BrainTumorDataset, BrainTumorTestDataset
from trainer.labels import Split, list_samples
from trainer.loop import TrainingError
from trainer.model import BrainTumorClassifier
from trainer.recipes import DEFAULT, SEED, Recipe
from trainer.run import TrainingRun

RECIPE = replace(DEFAULT, size=64, epochs=2, batch_size=4)


def make_run(folder: Path, data: Path, recipe: Recipe = RECIPE) -> TrainingRun:
    folder.mkdir(exist_ok=True)
    samples = list_samples(data, Split.VAL)
    torch.manual_seed(7)
    return TrainingRun(
        folder,
        recipe,
        BrainTumorClassifier(),
        BrainTumorDataset(samples, 96),
        BrainTumorTestDataset(samples[::3], 64),
        7,
    )


def stop_in_epoch_2(row: dict[str, float]) -> None:
    if row["epoch"] == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize("recipe", [RECIPE, replace(SEED, size=64, epochs=2, batch_size=4)], ids=["default", "seed"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path, data: Path, recipe: Recipe) -> None:
    whole = make_run(tmp_path / "whole", data, recipe)
    whole.fit(lambda _: None)
    interrupted = make_run(tmp_path / "interrupted", data, recipe)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(stop_in_epoch_2)
    resumed = make_run(tmp_path / "interrupted", data, recipe)
    resumed.resume()
    assert resumed.progress.epochs_done == 1
    resumed.fit(lambda _: None)
    for row, expected in zip(resumed.progress.history, whole.progress.history, strict=True):
        assert row == pytest.approx(expected)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("interrupted", "whole"))
    assert all(torch.allclose(ours[key].float(), theirs[key].float(), atol=1e-6) for key in theirs)


def test_only_the_last_checkpoint_is_kept(tmp_path: Path, data: Path) -> None:
    make_run(tmp_path, data).fit(lambda _: None)
    assert [path.name for path in tmp_path.glob("*checkpoint.safetensors")] == ["0002-checkpoint.safetensors"]


def test_too_few_steps_for_one_cycle(tmp_path: Path, data: Path) -> None:
    with pytest.raises(TrainingError, match="1 epochs of 4 batches are 4 steps, one cycle needs at least 8"):
        make_run(tmp_path, data, replace(RECIPE, epochs=1))


def test_fewer_images_than_a_batch(tmp_path: Path, data: Path) -> None:
    with pytest.raises(TrainingError, match="fewer than one batch of 99"):
        make_run(tmp_path, data, replace(RECIPE, batch_size=99))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, data: Path) -> None:
    run = make_run(tmp_path, data)
    with torch.no_grad():
        run.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss became nan"):
        run.fit(lambda _: None)
