"""The contract of `python -m trainer.evaluate`, and that it needs no torch."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer import evaluate
from trainer.labels import DatasetError, Sample, Split
from trainer.leakage import PictureGroups
from trainer.model_card import write_model_card
from trainer.runtime.bundle import (
    ListedFile,
    ModelBundle,
    ModelFolderError,
    read_calibration,
    read_file_list,
    read_manifest,
    write_calibration,
    write_manifest,
)
from trainer.runtime.predictor import EngineName
from trainer.runtime.records import CLASSES, TumorClass

ROOT = Path(__file__).resolve().parents[2]
OVER_ALL = {"accuracy", "accuracy_ci95", "confusion_matrix", "map50", "map", "map50_tumour", "map_tumour", "ece",
            "sensitivity", "specificity", "per_class", "images", "sensitivity_ci95", "specificity_ci95", "map50_ci95",
            "map_ci95", "map50_tumour_ci95", "map_tumour_ci95", "ece_ci95", "ece_uncalibrated", "ece_classifier",
            "bootstrap_resamples", "groups"}  # fmt: skip
FIGURES_OF_A_CLASS = ("precision", "recall", "f1", "map50", "map", "map50_tumour", "map_tumour")
PER_CLASS = {*FIGURES_OF_A_CLASS, *(f"{name}_ci95" for name in FIGURES_OF_A_CLASS)}


@pytest.fixture(scope="module")
def measured(
    data: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    """A measured copy of the model, the JSON it printed, and what else it said; in a process where torch is missing."""
    model = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("measured") / "tiny-1"))
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'torchmetrics')))\n"
        "from trainer.evaluate import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["--data", str(data), "--model", str(model), "--engine", "openvino", "--json", "--write"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return model, json.loads(done.stdout), done.stderr


Measured = tuple[Path, dict[str, Any], str]


class TestContract:
    def test_keys(self, measured: Measured) -> None:
        _, found, _ = measured
        assert {"model", "engine", "images_per_second", "protocol", "val", "val_clean", "val_unseen"} <= found.keys()
        assert (found["model"], found["engine"]) == ("tiny-1", "openvino")
        assert found["images_per_second"] > 0
        for part in ("val", "val_unseen", "val_clean"):
            assert found[part].keys() >= OVER_ALL
            assert found[part]["per_class"].keys() == set(CLASSES)
            assert all(figures.keys() >= PER_CLASS for figures in found[part]["per_class"].values())

    def test_figures_fit_together(self, measured: Measured) -> None:
        val = measured[1]["val"]
        confusion = val["confusion_matrix"]
        assert [sum(row) for row in confusion] == [4, 4, 4, 4]
        assert val["accuracy"] == sum(confusion[index][index] for index in range(4)) / 16
        low, high = val["accuracy_ci95"]
        assert low <= val["accuracy"] <= high
        assert val["per_class"]["No Tumor"]["map50"] is None

    def test_look_alikes_are_left_out_of_val_clean(self, measured: Measured) -> None:
        _, found, _ = measured
        assert (found["val"]["images"], found["val_clean"]["images"]) == (16, 15)
        assert (found["trained_look_alikes_of_val"], found["training_files_not_found"]) == (0, 0)
        assert found["protocol"] == "leak-free"
        assert found["val_unseen"] == found["val"]

    def test_the_written_metrics_are_read_back(self, measured: Measured) -> None:
        model, found, _ = measured
        assert json.loads((model / "metrics.json").read_text()) == found
        metrics = ModelBundle.load(model).metrics
        assert metrics is not None
        assert (metrics.accuracy, metrics.images) == (found["val"]["accuracy"], 16)
        assert metrics.map50_tumour == found["val"]["map50_tumour"]

    @pytest.mark.parametrize("name", ["weights_sha256", "calibration_sha256"])
    def test_metrics_of_other_files_do_not_count(self, measured: Measured, own_model: Path, name: str) -> None:
        (own_model / "metrics.json").write_text(json.dumps({**measured[1], name: "0" * 64}))
        assert ModelBundle.load(own_model).metrics is None
        with pytest.raises(ModelFolderError, match="measured with other weights or another calibration"):
            write_model_card(own_model)

    def test_a_new_calibration_makes_the_figures_old(self, measured: Measured, tmp_path: Path) -> None:
        model = Path(shutil.copytree(measured[0], tmp_path / "model"))
        manifest = read_manifest(model)
        assert ModelBundle.load(model).metrics is not None
        write_calibration(model, replace(read_calibration(model), urgent_threshold=0.9))
        write_manifest(model, manifest.version, manifest.input_size, manifest.flip_tta, manifest.recipe)
        assert ModelBundle.load(model).metrics is None

    def test_figures_of_look_alikes_are_not_published(self, measured: Measured, own_model: Path) -> None:
        _, found, _ = measured
        leaky = {**found, "protocol": "published (leaky)", "val_unseen": found["val_clean"]}
        (own_model / "metrics.json").write_text(json.dumps(leaky))
        metrics = ModelBundle.load(own_model).metrics
        assert metrics is not None
        assert metrics.images == 15
        (own_model / "metrics.json").write_text(json.dumps({**found, "protocol": "unchecked", "val_unseen": None}))
        assert ModelBundle.load(own_model).metrics is None

    def test_metrics_from_before_are_read_as_they_were(self, measured: Measured, own_model: Path) -> None:
        new = ("val_unseen", "calibration_sha256", "training_files_not_found")
        before = {name: value for name, value in measured[1].items() if name not in new}
        (own_model / "metrics.json").write_text(json.dumps(before))
        metrics = ModelBundle.load(own_model).metrics
        assert metrics is not None
        assert metrics.images == 16


def picture_groups(*pictures: tuple[Split, str, int]) -> PictureGroups:
    """Images by split, name and hash, unmirrored and mirrored; their sum is their name."""
    samples = [Sample(split, name, Path(name), Path(name), TumorClass.GLIOMA, ()) for split, name, _ in pictures]
    hashes = np.array([(value, value ^ 0xFFFF_0000_0000) for _, _, value in pictures], np.uint64)
    return PictureGroups(samples, [name for _, name, _ in pictures], hashes, np.arange(len(pictures)))


class TestLookAlikes:
    pictures = picture_groups(
        (Split.VAL, "a", 0), (Split.VAL, "b", 0xFFFF), (Split.VAL, "c", 0xFFFF_FFFF),
        (Split.TRAIN, "like a", 1), (Split.TRAIN, "like b", 0xFFFE), (Split.TRAIN, "like none", 0xFF00_FF00_FF00_FF00),
    )  # fmt: skip

    def found(self, *trained: str) -> evaluate.LookAlikes:
        return evaluate.find_look_alikes(self.pictures, [ListedFile(name, name) for name in trained])

    def test_what_was_trained_on_makes_images_seen(self) -> None:
        found = self.found("like a", "like none")
        assert found.clean.tolist() == [False, False, True]
        assert found.unseen.tolist() == [False, True, True]
        assert (found.trained_on, found.not_found, found.protocol) == (1, 0, "published (leaky)")

    def test_trained_on_no_look_alike(self) -> None:
        found = self.found("like none")
        assert found.unseen.all()
        assert (found.trained_on, found.not_found, found.protocol) == (0, 0, "leak-free")

    def test_a_file_that_is_not_there_may_look_like_anything(self) -> None:
        found = self.found("like none", "gone")
        assert (found.trained_on, found.not_found, found.protocol) == (0, 1, "unchecked")

    def test_a_file_of_another_sum_is_another_file(self) -> None:
        found = evaluate.find_look_alikes(self.pictures, [ListedFile("like none", "another sum")])
        assert (found.not_found, found.protocol) == (1, "unchecked")


class TestModelCard:
    def test_it_says_what_was_measured(self, measured: Measured) -> None:
        model, found, _ = measured
        card = " ".join((model / "MODEL_CARD.md").read_text().split())
        wanted = ["# Model tiny-1", "Research use only", "not a medical device", "leak-free protocol"]
        wanted += ["calibrat", "| all of Val | Val without a look-alike in Train |"]
        wanted += ["licence is not stated", f"{found['val']['accuracy']:.3f}", found["weights_sha256"]]
        wanted += [f"{found['val']['bootstrap_resamples']} bootstrap draws", "| protocol | leak-free | leak-free |"]
        wanted += ["| images (groups of look-alikes) | 16 (16) | 15 (15) |"]
        assert [text for text in wanted if text not in card] == []
        assert not re.search(r"\bNone\b(?! of)|\bnan\b", card)
        assert "Other scanners" not in card, "that was not measured"

    def test_it_shows_the_pictures(self, measured: Measured) -> None:
        model, _, _ = measured
        shown = re.findall(r"\]\((\S+\.(?:png|jpg))\)", (model / "MODEL_CARD.md").read_text())
        assert shown == ["figures/reliability.png", "figures/worst-errors.jpg"]
        assert all((model / name).stat().st_size < 1_000_000 for name in shown)

    def test_a_model_that_saw_val_says_so(
        self, data: Path, own_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seen = evaluate.find_look_alikes

        def with_leak(*arguments: Any) -> evaluate.LookAlikes:
            return replace(seen(*arguments), trained_on=3, unseen=np.arange(16) > 1)

        monkeypatch.setattr(evaluate, "find_look_alikes", with_leak)
        assert evaluate.main(["--data", str(data), "--model", str(own_model), "--write"]) == 0
        card = " ".join((own_model / "MODEL_CARD.md").read_text().split())
        assert "**3 of the images the model was trained on look like a Val image**" in card
        assert "| protocol | published (leaky) | leak-free | leak-free |" in card
        assert "| images (groups of look-alikes) | 16 (16) | 14 (14) | 15 (15) |" in card
        assert 'The leak-free figures are those of "Val unlike any training image".' in card
        assert "Every class, Val unlike any training image:" in card
        found = json.loads((own_model / "metrics.json").read_text())
        assert (found["protocol"], found["val_unseen"]["images"]) == ("published (leaky)", 14)
        metrics = ModelBundle.load(own_model).metrics
        assert metrics is not None
        assert metrics.images == 14
        table = capsys.readouterr().out
        assert "published (leaky)" in table
        assert "unlike any" in table


class TestCommandLine:
    def test_without_train_there_is_no_val_clean(
        self, data: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(data / "Val", tmp_path / "Val")
        arguments = [
            "--data",
            str(tmp_path),
            "--model",
            str(model_folder),
            "--json",
            "--limit",
            "1",
            "--engine",
            "torch",
            "--pictures",
            str(tmp_path / "pictures"),
        ]
        assert evaluate.main(arguments) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["val_clean"] is found["val_unseen"] is None
        assert found["protocol"] == "unchecked"
        assert found["training_files_not_found"] == len(read_file_list(model_folder / "training-files.csv"))
        assert found["engine"] == "torch"
        assert found["val"]["images"] == 4
        assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"reliability.png", "worst-errors.jpg"}

    def test_every_engine_can_be_asked_for(self) -> None:
        for engine in EngineName:
            assert evaluate.parse_arguments(["--model", "x", "--engine", engine]).engine is engine

    def test_a_trial_is_never_written(self, model_folder: Path) -> None:
        with pytest.raises(SystemExit):
            evaluate.main(["--model", str(model_folder), "--limit", "1", "--write"])

    def test_a_missing_model_is_one_sentence(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert evaluate.main(["--model", str(tmp_path)]) == 2
        assert "is no model folder: model.json is missing" in capsys.readouterr().err

    def test_another_train_folder_is_unchecked(
        self, data: Path, own_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The same names with other pictures: nothing is known of what the model was trained on."""
        for split, source in (("Val", "Val"), ("Train", "Val")):
            shutil.copytree(data / source, tmp_path / "data" / split)
        assert evaluate.main(["--data", str(tmp_path / "data"), "--model", str(own_model), "--write"]) == 0
        found = json.loads((own_model / "metrics.json").read_text())
        missing = len(read_file_list(own_model / "training-files.csv"))
        assert (found["protocol"], found["training_files_not_found"]) == ("unchecked", missing)
        assert found["val_unseen"] is None
        assert f"**Not checked for leaks**: {missing} of the images" in (own_model / "MODEL_CARD.md").read_text()
        assert ModelBundle.load(own_model).metrics is None
        assert "unchecked" in capsys.readouterr().out

    @pytest.mark.parametrize("name", ["stress.json", "engines.json"])
    def test_a_broken_table_is_one_sentence_and_nothing_is_written(
        self, data: Path, own_model: Path, capsys: pytest.CaptureFixture[str], name: str
    ) -> None:
        (own_model / name).write_text('{"groups": [{}]}')
        before = sorted(path.name for path in own_model.iterdir())
        assert evaluate.main(["--data", str(data), "--model", str(own_model), "--write"]) == 2
        assert f"{name} is no " in capsys.readouterr().err
        assert sorted(path.name for path in own_model.iterdir()) == before

    def test_pictures_that_cannot_be_drawn_leave_nothing(
        self, data: Path, own_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def gone(*_: object) -> None:
            raise DatasetError("x.png cannot be read")

        monkeypatch.setattr(evaluate, "draw_pictures", gone)
        before = sorted(path.name for path in own_model.iterdir())
        assert evaluate.main(["--data", str(data), "--model", str(own_model), "--write"]) == 2
        assert "x.png cannot be read" in capsys.readouterr().err
        assert sorted(path.name for path in own_model.iterdir()) == before

    def test_a_trial_of_nothing_is_one_sentence(
        self, data: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert evaluate.main(["--data", str(data), "--model", str(model_folder), "--limit", "0"]) == 2
        assert "holds no image to measure" in capsys.readouterr().err
