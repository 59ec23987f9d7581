"""The contract of `python -m trainer.evaluate`, and that it needs no torch."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer import evaluate
from trainer.runtime.bundle import ModelBundle
from trainer.runtime.predictor import EngineName
from trainer.runtime.records import CLASSES

ROOT = Path(__file__).resolve().parents[2]
OVER_ALL = {"accuracy", "accuracy_ci95", "confusion_matrix", "map50", "map", "map50_tumour", "map_tumour", "ece",
            "sensitivity", "specificity", "per_class", "images", "sensitivity_ci95", "specificity_ci95", "map50_ci95",
            "map_ci95", "map50_tumour_ci95", "map_tumour_ci95", "ece_ci95", "ece_uncalibrated", "ece_classifier",
            "bootstrap_resamples"}  # fmt: skip
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
        assert {"model", "engine", "images_per_second", "protocol", "val", "val_clean"} <= found.keys()
        assert (found["model"], found["engine"]) == ("tiny-1", "openvino")
        assert found["images_per_second"] > 0
        for part in ("val", "val_clean"):
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
        assert found["trained_look_alikes_of_val"] == 0
        assert found["protocol"] == "leak-free"

    def test_the_written_metrics_are_read_back(self, measured: Measured) -> None:
        model, found, _ = measured
        assert json.loads((model / "metrics.json").read_text()) == found
        metrics = ModelBundle.load(model).metrics
        assert metrics is not None
        assert (metrics.accuracy, metrics.images) == (found["val"]["accuracy"], 16)
        assert metrics.map50_tumour == found["val"]["map50_tumour"]

    def test_metrics_of_other_weights_do_not_count(self, measured: Measured, own_model: Path) -> None:
        changed = {**measured[1], "weights_sha256": "0" * 64}
        (own_model / "metrics.json").write_text(json.dumps(changed))
        assert ModelBundle.load(own_model).metrics is None


class TestModelCard:
    def test_it_says_what_was_measured(self, measured: Measured) -> None:
        model, found, _ = measured
        card = (model / "MODEL_CARD.md").read_text()
        wanted = ["# Model tiny-1", "Research use only", "not a medical device", "leak-free protocol"]
        wanted += ["licence is not stated", f"{found['val']['accuracy']:.3f}", found["weights_sha256"]]
        wanted += [f"{found['val']['bootstrap_resamples']} bootstrap draws", "| protocol | leak-free | leak-free |"]
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
            return evaluate.LookAlikes(seen(*arguments).clean, 3)

        monkeypatch.setattr(evaluate, "find_look_alikes", with_leak)
        assert evaluate.main(["--data", str(data), "--model", str(own_model), "--write"]) == 0
        card = (own_model / "MODEL_CARD.md").read_text()
        assert "**3 of the images the model was trained on look like a Val image" in card
        assert "| protocol | published (leaky) | leak-free |" in card
        assert json.loads((own_model / "metrics.json").read_text())["protocol"] == "published (leaky)"
        table = capsys.readouterr().err
        assert "without look-alikes" in table
        assert "published (leaky)" in table


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
        assert found["val_clean"] is None
        assert found["protocol"] == "unchecked"
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
