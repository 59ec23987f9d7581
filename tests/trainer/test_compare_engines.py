"""Engines are held to the limits, and the command says so."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer import compare_engines, evaluate
from trainer.compare_engines import LIMITS, REFERENCE, Answers, Limits, broken_limits, ratio
from trainer.engine_comparison import EngineComparison
from trainer.runtime import torch_engine
from trainer.runtime.bundle import CALIBRATION, MODEL_CARD, read_manifest
from trainer.runtime.predictor import EngineName

INT8 = LIMITS[EngineName.OPENVINO_INT8]


def answers(right: int = 1000, changed: int = 0, map50: float | None = 0.9) -> Answers:
    """Answers to 1000 images, the first `changed` with another label than the reference's."""
    probabilities = np.tile([0.7, 0.1, 0.1, 0.1], (1000, 2))
    probabilities[:changed] = np.tile([0.1, 0.7, 0.1, 0.1], 2)
    return Answers(probabilities, np.zeros(1000), right / 1000, map50, map50, map50)


class TestLimits:
    def test_on_the_limit_is_within(self) -> None:
        assert broken_limits(INT8, answers(997, changed=10, map50=0.89), answers()) == ()

    @pytest.mark.parametrize(
        ("ours", "sentence"),
        [
            (answers(changed=11), "0.9890 of the labels are the same, at least 0.99 must be"),
            (answers(996), "accuracy fell by 0.0040, at most 0.003 is allowed"),
            (replace(answers(), map50=0.889), "map50 fell by 0.0110, at most 0.01 is allowed"),
            (replace(answers(), novelties=np.full(1000, 0.07)), "a novelty differs by 0.07, at most 0.06 is allowed"),
            (replace(answers(), map50_tumour=0.889), "map50_tumour fell by 0.0110, at most 0.01 is allowed"),
        ],
    )
    def test_outside_is_one_sentence(self, ours: Answers, sentence: str) -> None:
        assert broken_limits(INT8, ours, answers()) == (sentence,)

    def test_float32_is_held_to_the_probabilities(self) -> None:
        close, far = (replace(answers(), probabilities=answers().probabilities + gap) for gap in (9e-4, 2e-3))
        assert broken_limits(LIMITS[EngineName.OPENVINO], close, answers()) == ()
        (sentence,) = broken_limits(LIMITS[EngineName.OPENVINO], far, answers())
        assert sentence.startswith("a probability differs by 0.002, at most 0.001")

    def test_float32_is_held_to_the_novelty(self) -> None:
        close, far = (replace(answers(), novelties=np.full(1000, gap)) for gap in (9e-4, 2e-3))
        assert broken_limits(LIMITS[EngineName.OPENVINO], close, answers()) == ()
        assert broken_limits(LIMITS[EngineName.OPENVINO], far, answers()) == (
            "a novelty differs by 0.002, at most 0.001 is allowed",
        )

    def test_a_better_engine_breaks_nothing(self) -> None:
        assert broken_limits(INT8, answers(1000, map50=0.95), answers(900)) == ()

    def test_without_boxes_there_is_nothing_to_lose(self) -> None:
        assert broken_limits(INT8, answers(map50=None), answers(map50=None)) == ()


def test_a_ratio_is_taken_within_each_round() -> None:
    # the machine slows down to a half: the speeds change, their ratio does not
    assert ratio({REFERENCE: [10, 5, 10], "a": [30, 15, 60]}, "a") == 3


class TestCommand:
    @pytest.fixture(autouse=True)
    def one_round_without_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compare_engines, "ROUNDS", 1)
        monkeypatch.setattr(torch_engine, "GPU_SIGNS", ())

    def arguments(self, model: Path, data: Path) -> list[str]:
        return ["--model", str(model), "--data", str(data), "--threads", "1"]

    def test_every_engine_beside_the_reference(
        self, model_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(LIMITS, EngineName.OPENVINO_INT8, Limits())  # two epochs teach no stable boxes
        assert compare_engines.main([*self.arguments(model_folder, data), "--json"]) == 0
        reference, *others = json.loads(capsys.readouterr().out)["engines"]
        assert [row["engine"] for row in others] == ["openvino", "openvino-int8"]
        assert reference["engine"] == REFERENCE
        assert (reference["same_labels"], reference["probability_difference"], reference["speed_ratio"]) == (1, 0, 1)
        assert reference["novelty_difference"] == 0 < others[0]["novelty_difference"] < 1e-3
        assert all(row["probability_difference"] > 0 and row["images_per_second"] > 0 for row in others)

    def test_it_is_kept_in_the_model_folder(self, own_model: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(LIMITS, EngineName.OPENVINO_INT8, Limits())
        assert evaluate.main(["--model", str(own_model), "--data", str(data), "--write"]) == 0
        assert compare_engines.main([*self.arguments(own_model, data), "--write"]) == 0
        found = EngineComparison.read(own_model)
        assert found is not None
        assert (found.images, found.threads, len(found.engines)) == (16, 1, 3)
        assert found.is_of(read_manifest(own_model).files)
        assert not found.is_of(read_manifest(own_model).files | {CALIBRATION: "of another time"})
        assert f"| openvino-int8 | {found.engines[2].accuracy:.4f} |" in (own_model / MODEL_CARD).read_text()

    def test_a_broken_limit_is_the_exit_code(
        self, model_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(LIMITS, EngineName.OPENVINO_INT8, Limits(max_probability_difference=0.0))
        assert compare_engines.main(self.arguments(model_folder, data)) == 1
        assert "openvino-int8: a probability differs by" in caplog.text

    def test_what_cannot_be_measured_is_one_sentence(
        self, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert compare_engines.main(self.arguments(tmp_path, data)) == 2
        assert "is no model folder: model.json is missing" in capsys.readouterr().err
