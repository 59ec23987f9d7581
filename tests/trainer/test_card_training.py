"""The model card says how training went, as far as the model folder knows."""

from pathlib import Path

import pytest

from trainer.card_training import read_record, start_weights_line, training_lines
from trainer.run_record import End, Ending, Environment, RunRecord, StartWeights
from trainer.runtime.bundle import Manifest, ModelFolderError

MANIFEST = Manifest("m", 64, False, {"run.json": "0"}, {"epochs": 16})
SCRATCH = StartWeights("scratch")


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (End(16, Ending.ALL_EPOCHS), "- trained for all 16 epochs, seed 1\n"),
        (End(9, Ending.EARLY_STOP), "- trained for 9 of at most 16 epochs, until it stopped early, seed 1\n"),
        (End(3, Ending.OUT_OF_TIME), "- **not finished**: trained for 3 of 16 epochs (out of time), seed 1\n"),
        (End(3, Ending.INTERRUPTED), "- **not finished**: trained for 3 of 16 epochs (interrupted), seed 1\n"),
    ],
)
def test_how_far_training_came(end: End, sentence: str) -> None:
    assert list(training_lines(RunRecord(1, SCRATCH, end=end), MANIFEST)) == [sentence]


def test_what_it_ran_on() -> None:
    record = RunRecord(1, SCRATCH, environment=Environment(4, "cuda", "bfloat16", "2.14.1", "abc-dirty"))
    [line] = training_lines(record, MANIFEST)
    assert line == "- trained by 4 processes on cuda in bfloat16, torch 2.14.1, code abc-dirty\n"


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (SCRATCH, "none, they were random"),
        (StartWeights("torchvision IMAGENET1K_V1"), "body: ImageNet, torchvision IMAGENET1K_V1."),
        (StartWeights("w.safetensors", "f00"), "`w.safetensors` (sha256 `f00`)"),
        (
            StartWeights("run/w.safetensors", "f00", 4, StartWeights("torchvision IMAGENET1K_V1")),
            "`run/w.safetensors` (sha256 `f00`), of a run of 4 epochs,\n  which began with ImageNet, torchvision",
        ),
    ],
)
def test_the_start_weights(weights: StartWeights, words: str) -> None:
    assert words in start_weights_line(RunRecord(1, weights))


def test_a_model_that_does_not_say(tmp_path: Path) -> None:
    older = Manifest("m", 64, False, {}, {})
    RunRecord(1, SCRATCH).write(tmp_path)  # whatever lies there: no sum says that it belongs to the model
    assert read_record(tmp_path, older) is None
    assert list(training_lines(None, older)) == []
    assert "unless trained with" in start_weights_line(None)


def test_a_missing_or_broken_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"run\.json is missing"):
        read_record(tmp_path, MANIFEST)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ModelFolderError, match=r"run\.json is broken .*: copy the model folder again\."):
        read_record(tmp_path, MANIFEST)
