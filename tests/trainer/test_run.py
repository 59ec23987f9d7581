"""A run that was interrupted ends as one that was not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from trainer import run as run_module
from trainer.dataset import BrainTumorDataset, BrainTumorTestDataset
from trainer.labels import Split, list_samples
from trainer.loop import Context, TrainingError
from trainer.model import BrainTumorClassifier
from trainer.parallel import Processes
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
        Processes(),
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


def test_every_epoch_is_trained_as_the_recipe_has_it_then(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []

    def look(network: nn.Module, *arguments: object) -> dict[str, float]:
        context = next(each for each in arguments if isinstance(each, Context))
        hooks = len(network.layer1._forward_hooks), len(network.layer2._forward_hooks)
        epochs.append((context.size, context.recipe.augmentation.looks, context.recipe.counterfactual_share, hooks))
        return dict.fromkeys(("train_loss", "train_accuracy"), 0.0)

    monkeypatch.setattr(run_module, "train_one_epoch", look)
    recipe = replace(RECIPE, epochs=10, growing=((0.0, 1 / 2), (0.3, 1.0)), plain_from=0.6)
    make_run(tmp_path, data, recipe).fit(lambda _: None)
    share = recipe.counterfactual_share
    assert epochs == (
        3 * [(32, True, share, (1, 1))] + 3 * [(64, True, share, (1, 1))] + 4 * [(64, False, 0.0, (0, 0))]
    )


def test_only_the_last_checkpoint_is_kept(tmp_path: Path, data: Path) -> None:
    make_run(tmp_path, data).fit(lambda _: None)
    assert [path.name for path in tmp_path.glob("*checkpoint.safetensors")] == ["0002-checkpoint.safetensors"]


def test_too_few_steps_for_one_cycle(tmp_path: Path, data: Path) -> None:
    with pytest.raises(TrainingError, match="1 epochs of 4 batches are 4 steps, one cycle needs at least 8"):
        make_run(tmp_path, data, replace(RECIPE, epochs=1))


def test_fewer_images_than_a_batch(tmp_path: Path, data: Path) -> None:
    with pytest.raises(TrainingError, match="fewer than one batch of 99"):
        make_run(tmp_path, data, replace(RECIPE, batch_size=99))


def test_a_batch_that_cannot_be_divided(tmp_path: Path, data: Path) -> None:
    samples = list_samples(data, Split.VAL)
    parts = BrainTumorDataset(samples, 96), BrainTumorTestDataset(samples, 64)
    with pytest.raises(TrainingError, match="A batch of 4 cannot be divided among 3 processes"):
        TrainingRun(tmp_path, RECIPE, BrainTumorClassifier(), *parts, 7, Processes(count=3))


def test_the_early_stopper_ends_a_run_for_good(tmp_path: Path, data: Path) -> None:
    recipe = replace(SEED, size=64, epochs=9, batch_size=4)
    run = make_run(tmp_path, data, recipe)
    run.stopper.patience, run.stopper.min_delta = 2, 1e9  # no epoch is a gain
    run.fit(lambda _: None)
    assert run.progress.epochs_done == 3
    again = make_run(tmp_path, data, recipe)
    again.stopper.patience = 2
    again.resume()
    assert again.is_over
    again.fit(lambda _: pytest.fail("a finished run went on"))


def test_out_of_time_leaves_a_run_to_go_on_with(tmp_path: Path, data: Path) -> None:
    run = make_run(tmp_path, data)
    run.fit(lambda _: None, seconds=0)
    assert (run.progress.epochs_done, run.is_over) == (1, False)
    resumed = make_run(tmp_path, data)
    resumed.resume()
    resumed.fit(lambda _: None)
    assert resumed.is_over


def test_the_same_seed_gives_the_same_run(tmp_path: Path, data: Path) -> None:
    histories = []
    for name in ("one", "two"):
        run = make_run(tmp_path / name, data)
        run.fit(lambda _: None)
        histories.append((tmp_path / name / "history.csv").read_bytes())
    assert histories[0] == histories[1]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, data: Path) -> None:
    run = make_run(tmp_path, data)
    with torch.no_grad():
        run.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss became nan"):
        run.fit(lambda _: None)
