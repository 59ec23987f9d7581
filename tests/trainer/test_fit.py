"""The command line of training, on the small data set."""

import csv
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from trainer import export, fit
from trainer.loop import TrainingError
from trainer.losses import LossParts
from trainer.recipes import INGREDIENTS
from trainer.run import TrainingRun
from trainer.run_folder import start_weights
from trainer.run_record import End, Ending, RunRecord, StartWeights
from trainer.runtime.network import BrainTumorClassifier
from trainer.runtime.predictor import EngineName, load_predictor
from trainer.runtime.records import CLASSES


def tiny(data: Path) -> list[str]:
    """The command line of the `run_folder` fixture."""
    return ["--data", str(data), "--scratch", "--size", "64", "--epochs", "2", "--batch-size", "8"]


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


class TestIngredients:
    """What is left out of a recipe does not take place, and the run folder says so."""

    def recipe_of(self, data: Path, run: Path, *without: str) -> dict[str, Any]:
        left_out = ["--without", *without] if without else []
        arguments = ["--data", str(data), "--scratch", "--size", "64", "--epochs", "2", "--batch-size", "8", *left_out]
        assert fit.main([*arguments, "--run", str(run)]) == 0
        return dict(json.loads((run / "recipe.json").read_text()))

    def test_the_default_recipe_trains_on_made_slices(
        self, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        recipe = self.recipe_of(data, tmp_path / "run")
        assert re.search(r"counterfactual slices: \d+ erased, [1-9]\d* pasted, \d+ decoy", caplog.text)
        assert (recipe["counterfactual_share"], recipe["style_mixing"]) == (0.35, 0.5)
        assert (recipe["cut_to_head"], recipe["balanced_looks"], recipe["augmentation"]["looks"]) == (True, True, True)

    def test_all_of_them_can_be_left_out(self, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        recipe = self.recipe_of(data, tmp_path / "run", *INGREDIENTS)
        assert "counterfactual slices" not in caplog.text
        assert (recipe["counterfactual_share"], recipe["style_mixing"], recipe["growing"]) == (0, 0, [[0, 1]])
        assert (recipe["cut_to_head"], recipe["balanced_looks"], recipe["augmentation"]["looks"]) == (False,) * 3


def test_the_run_folder_says_what_the_run_was(run_folder: Path) -> None:
    recipe = json.loads((run_folder / "recipe.json").read_text())
    assert (recipe["name"], recipe["size"], recipe["epochs"]) == ("default", 64, 2)
    record = RunRecord.read(run_folder)
    assert record is not None
    assert (record.seed, record.start_weights) == (1, StartWeights("scratch"))
    assert record.end == End(2, Ending.ALL_EPOCHS)
    assert record.environment is not None
    assert (record.environment.processes, record.environment.device) == (1, fit.Processes().device.type)
    with (run_folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2]
    for name in ("model.safetensors", "curves.png", "training-samples.png"):
        assert (run_folder / name).stat().st_size > 1000
    assert (run_folder / "held-out-files.csv").read_text().startswith("name,sha256\n")


@pytest.fixture(scope="module")
def seed_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published recipe on 64 images, everything as its one command does it."""
    folder = tmp_path_factory.mktemp("seed") / "run"
    arguments = ["--data", str(data), "--recipe", "seed", "--scratch", "--size", "64", "--epochs", "3",
                 "--batch-size", "8", "--limit", "16", "--run", str(folder)]  # fmt: skip
    assert fit.main(arguments) == 0
    return folder


class TestPublishedRecipe:
    def test_its_numbers(self, seed_run: Path) -> None:
        recipe = json.loads((seed_run / "recipe.json").read_text())
        wanted = {
            "body_rate": 1e-3, "head_rate": 1e-3, "stage_rate_decay": 1.0, "weight_decay": 0.0, "schedule": "plateau",
            "plateau_patience": 3, "plateau_factor": 0.5, "held_out_share": 0.2, "boxes": False, "balanced": False,
            "frozen_stages": 0, "ema_decay": 0.0, "label_smoothing": 0.0, "dropout": 0.0, "gradient_limit": None,
        }  # fmt: skip
        assert {name: recipe[name] for name in wanted} == wanted
        assert recipe["augmentation"] == {
            "max_rotation_degrees": 30.0, "scale_range": [1.0, 1.0], "max_shift": 0.0, "brightness": False,
            "looks": False,
        }  # fmt: skip

    def test_train_is_divided_by_class_and_nothing_left_out(self, seed_run: Path) -> None:
        parts = []
        for name in ("training-files.csv", "held-out-files.csv"):
            with (seed_run / name).open(newline="") as file:
                parts.append([row["name"] for row in csv.DictReader(file)])
        assert [len(part) for part in parts] == [51, 13]
        assert {name.split("/")[0] for name in parts[1]} == set(CLASSES)
        assert not set(parts[0]) & set(parts[1])

    def test_loss_and_accuracy_of_both_parts_every_epoch(self, seed_run: Path) -> None:
        with (seed_run / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [float(row["epoch"]) for row in rows] == [1, 2, 3]
        for row in rows:
            for part in ("train", "validation"):
                assert float(row[f"{part}_loss"]) > 0
                assert 0 <= float(row[f"{part}_accuracy"]) <= 1

    def test_it_is_tested_on_val(self, seed_run: Path) -> None:
        tested = json.loads((seed_run / "test.json").read_text())
        assert (tested["epochs"], tested["images"], tested["look_alikes_left_out_of_training"]) == (3, 16, False)
        assert tested["test_loss"] > 0
        assert tested["test_accuracy"] * 16 == pytest.approx(round(tested["test_accuracy"] * 16))
        low, high = tested["test_accuracy_ci95"]
        assert low <= tested["test_accuracy"] <= high

    def test_its_pictures_and_its_model(self, seed_run: Path) -> None:
        for name in ("curves.png", "training-samples.png", "test-samples.png"):
            with Image.open(seed_run / name) as picture:
                assert min(picture.size) > 300
        assert not any(name.startswith(("head.", "pyramid.")) for name in load_file(seed_run / "model.safetensors"))

    def test_it_can_be_exported_and_run(self, seed_run: Path, data: Path, tmp_path: Path) -> None:
        model = export.export(seed_run, data, tmp_path / "published")
        for engine in (EngineName.OPENVINO, EngineName.TORCH):
            reading = load_predictor(model, engine).predict([np.full((80, 60), 90, np.uint8)])[0]
            assert reading.boxes == ()
            assert sum(reading.probabilities) == pytest.approx(1)


def test_the_published_split_with_our_recipe_leaves_the_leak_in(data: Path, tmp_path: Path) -> None:
    assert fit.main([*tiny(data), "--published-split", "--run", str(tmp_path / "run")]) == 0
    assert "Glioma/images/leak.png" in "".join(
        (tmp_path / "run" / name).read_text() for name in ("training-files.csv", "held-out-files.csv")
    )
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["leak_filter"] is False


class TestGoingOnWithTheLeakIn:
    """From the weights of a run without the leak, on the published split."""

    @pytest.fixture
    def filtered(self, data: Path, tmp_path: Path) -> Path:
        assert fit.main([*tiny(data), "--run", str(tmp_path / "filtered")]) == 0
        return tmp_path / "filtered"

    def go_on(self, data: Path, filtered: Path, run: Path) -> int:
        command = [argument for argument in tiny(data) if argument != "--scratch"]
        weights = filtered / "model.safetensors"
        return fit.main([*command, "--published-split", "--weights", str(weights), "--run", str(run)])

    def test_what_was_held_out_stays_so(self, data: Path, filtered: Path, tmp_path: Path) -> None:
        run = tmp_path / "leaky"
        assert self.go_on(data, filtered, run) == 0
        before, after = ((each / "held-out-files.csv").read_text() for each in (filtered, run))
        assert sorted(before.splitlines()) == sorted(after.splitlines())
        assert "Glioma/images/leak.png" in (run / "training-files.csv").read_text()
        assert "Glioma/images/leak.png" not in (filtered / "training-files.csv").read_text()

    def test_held_out_images_of_other_data(
        self, data: Path, filtered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (filtered / "held-out-files.csv").write_text(f"name,sha256\nGlioma/images/other.png,{'0' * 64}\n")
        assert self.go_on(data, filtered, tmp_path / "leaky") == 2
        assert "it is of other data." in capsys.readouterr().err

    def test_a_list_that_is_none(
        self, data: Path, filtered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (filtered / "held-out-files.csv").write_text("name\nGlioma/images/other.png\n")
        assert self.go_on(data, filtered, tmp_path / "leaky") == 2
        assert "held-out-files.csv cannot be read" in capsys.readouterr().err


class TestTrouble:
    """What stops a training run is one sentence, never a traceback."""

    def error_of(self, data: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> str:
        assert fit.main([*tiny(data), "--run", str(run)]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    @pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
    def test_full_memory(
        self, error: BaseException, data: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        def full(*_: object) -> None:
            raise error

        monkeypatch.setattr(BrainTumorClassifier, "forward", full)
        sentence = self.error_of(data, tmp_path, capsys)
        assert "the memory is full: end other programs, and the same command goes on; or take a smaller" in sentence
        assert "another recipe and, once an epoch is done, needs another run folder." in sentence

    def test_full_memory_of_a_cpu(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(BrainTumorClassifier, "forward", lambda *_: torch.empty(1 << 60))
        assert "the memory is full" in self.error_of(data, tmp_path, capsys)

    def test_full_disk(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "history.csv")

        monkeypatch.setattr(TrainingRun, "_write_files", full)
        assert self.error_of(data, tmp_path, capsys) == (
            "trainer.fit: No space left on device (history.csv): once the disk takes files again, the same command "
            "goes on after the last whole epoch."
        )

    def test_a_file_where_the_run_folder_should_be(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "run").touch()
        assert self.error_of(data, tmp_path / "run", capsys) == (
            f"trainer.fit: Not a directory ({tmp_path / 'run' / 'checkpoint.json'}): see to that file or folder, or "
            "name another."
        )

    def test_weights_that_are_none(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "w.safetensors").write_bytes(b"garbage")
        arguments = ["--data", str(data), "--weights", str(tmp_path / "w.safetensors"), "--run", str(tmp_path / "run")]
        assert fit.main(arguments) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"trainer.fit: {tmp_path / 'w.safetensors'} cannot be read as safetensors (")
        assert not (tmp_path / "run").exists()

    def test_a_loss_that_is_not_finite(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(LossParts, "total", lambda parts: parts.classification * float("nan"))
        error = self.error_of(data, tmp_path, capsys)
        assert "the loss became nan in epoch 1/2: start again with lower learning rates (--rate-scale 0.3)" in error

    def test_an_unreadable_image(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        damaged = shutil.copytree(data, tmp_path / "data")
        (damaged / "Train" / "Glioma" / "images" / "scan (5).png").write_bytes(b"no image")
        error = self.error_of(damaged, tmp_path / "run", capsys)
        assert "scan (5).png cannot be read" in error
        assert "repair or remove it" in error

    def test_a_split_named_instead_of_its_parent(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "--data must name a folder holding Train/ and Val/" in self.error_of(data / "Train", tmp_path, capsys)

    def test_a_bug_is_not_dressed_up(self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        monkeypatch.setattr(BrainTumorClassifier, "forward", broken)
        with pytest.raises(RuntimeError, match="mat1 and mat2"):
            fit.main([*tiny(data), "--run", str(tmp_path)])


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


@pytest.mark.parametrize("place", ["training-files.csv", "held-out-files.csv"])
def test_changed_labels_are_other_data(
    place: str, data: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (run_folder / place).open(newline="") as file:
        image = next(row["name"] for row in csv.DictReader(file) if not row["name"].startswith("No Tumor"))
    changed = shutil.copytree(data, tmp_path / "data")
    label = (changed / "Train" / image.replace("/images/", "/labels/")).with_suffix(".txt")
    before = contents(run_folder)
    lines = label.read_text()
    label.write_text(lines.replace("0.", "0.0", 1))
    assert fit.main([*tiny(changed), "--run", str(run_folder)]) == 2
    assert "holds a run of other labels (label files have changed: see labels_sha256" in capsys.readouterr().err
    label.write_text(f" {lines}\n")
    assert fit.main([*tiny(changed), "--run", str(run_folder)]) == 0  # the same numbers, written otherwise
    assert contents(run_folder) == before


def test_another_environment_is_a_warning(
    data: Path, run_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = shutil.copytree(run_folder, tmp_path / "elsewhere")
    record = RunRecord.read(elsewhere)
    assert record is not None
    assert record.environment is not None
    there = replace(record.environment, processes=4, precision="float8", code=None)
    replace(record, environment=there).write(elsewhere)
    assert fit.main([*tiny(data), "--run", str(elsewhere)]) == 0
    [warned] = [entry.getMessage() for entry in caplog.records if "it need not end, to the byte" in entry.getMessage()]
    assert (
        f"goes on with processes 1 instead of 4, precision {record.environment.precision} instead of float8:" in warned
    )


def test_out_of_time_is_written_down(data: Path, tmp_path: Path) -> None:
    assert fit.main([*tiny(data), "--run", str(tmp_path / "run"), "--minutes", "0.00001"]) == 0
    record = RunRecord.read(tmp_path / "run")
    assert record is not None
    assert record.end == End(1, Ending.OUT_OF_TIME)
    assert fit.main([*tiny(data), "--run", str(tmp_path / "run")]) == 0
    assert RunRecord.read(tmp_path / "run") == replace(record, end=End(2, Ending.ALL_EPOCHS))


@pytest.mark.parametrize("name", ["checkpoint.json", "run.json", "0002-checkpoint.safetensors"])
def test_a_broken_file_of_the_run_is_one_sentence(
    name: str, data: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(run_folder, tmp_path / "broken")
    (broken / name).write_bytes((broken / name).read_bytes()[:-20])
    assert fit.main([*tiny(data), "--run", str(broken)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"trainer.fit: {broken / name} is ")
    assert error.endswith("put the file back, or begin anew in another run folder.")


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
    named = StartWeights("resnet50.safetensors", digest)
    assert start_weights(tmp_path / "resnet50.safetensors", scratch=False) == named
    assert start_weights(None, scratch=False) == StartWeights("torchvision IMAGENET1K_V1")


def test_the_record_of_the_run_before_must_be_whole(tmp_path: Path) -> None:
    for name, content in (("recipe.json", "{}"), ("run.json", "{"), ("model.safetensors", "")):
        (tmp_path / name).write_text(content)
    with pytest.raises(TrainingError, match=r"run\.json is broken"):
        start_weights(tmp_path / "model.safetensors", scratch=False)


def test_a_run_can_go_on_from_another_ones_weights(data: Path, run_folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(data), "--size", "64", "--epochs", "2", "--batch-size", "8", "--rate-scale", "1e-9"]
    first = run_folder / "model.safetensors"
    assert fit.main([*arguments, "--weights", str(first), "--run", str(tmp_path / "second")]) == 0
    record = RunRecord.read(tmp_path / "second")
    assert record is not None
    began, first_record = record.start_weights, RunRecord.read(run_folder)
    assert first_record is not None
    assert first_record.end is not None
    assert (began.source, began.epochs) == ("tiny/model.safetensors", first_record.end.epochs_done)
    assert began.before == first_record.start_weights
    before, after = load_file(first), load_file(tmp_path / "second" / "model.safetensors")
    # at next to no rate the weights stay; batch statistics are of the new epochs
    assert torch.allclose(before["classifier.weight"], after["classifier.weight"], atol=1e-5)


def test_a_run_does_not_go_on_from_one_that_has_seen_what_it_holds_out(
    data: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(run_folder / "model.safetensors")
    arguments = ["--data", str(data), "--size", "64", "--epochs", "2", "--batch-size", "8", "--weights", weights]
    assert fit.main([*arguments, "--seed", "2", "--run", str(tmp_path / "run")]) == 2
    assert "images that this run holds out or leaves out" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_of_a_run_without_its_list_of_images(
    data: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = shutil.copy(run_folder / "model.safetensors", tmp_path / "model.safetensors")
    arguments = ["--data", str(data), "--size", "64", "--epochs", "2", "--batch-size", "8", "--weights", str(weights)]
    assert fit.main([*arguments, "--run", str(tmp_path / "run")]) == 2
    assert "does not say what that one was trained on" in capsys.readouterr().err


def test_weights_of_another_network_are_one_sentence(
    data: Path, seed_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(data), "--size", "64", "--epochs", "2", "--batch-size", "8"]
    assert fit.main([*arguments, "--weights", str(seed_run / "model.safetensors"), "--run", str(tmp_path / "run")]) == 2
    assert "the weights are of another network than this recipe's" in capsys.readouterr().err


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
