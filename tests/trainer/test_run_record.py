"""run.json says what a run began with and how it ended, and reads back as it was written."""

import json
from pathlib import Path

import pytest

from trainer.run_record import End, Ending, Environment, RunRecord, RunRecordError, StartWeights

HERE = Environment(1, "cpu", "bfloat16", "2.14.1", "abc")


@pytest.mark.parametrize(
    "record",
    [
        RunRecord(3, StartWeights("scratch")),
        RunRecord(3, StartWeights("scratch"), environment=Environment(2, "cuda", "float32", "2.14.1")),
        RunRecord(3, StartWeights("w.safetensors", "f00"), "5ad", HERE, End(7, Ending.EARLY_STOP)),
        RunRecord(3, StartWeights("run/w.safetensors", "f00", 4, StartWeights("resnet50.safetensors", "ba5"))),
    ],
)
def test_it_reads_back_as_written(record: RunRecord, tmp_path: Path) -> None:
    record.write(tmp_path)
    assert RunRecord.read(tmp_path) == record


def test_nothing_unknown_is_written(tmp_path: Path) -> None:
    RunRecord(3, StartWeights("scratch")).write(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == {"seed": 3, "start_weights": {"source": "scratch"}}


def test_a_folder_without_one(tmp_path: Path) -> None:
    assert RunRecord.read(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", '{"seed": 1, "start_weights": {"from": "x"}}',
        '{"seed": 1, "start_weights": {"source": "x"}, "end": {"epochs_done": 1, "ending": "bored"}}',
        '{"seed": 1, "start_weights": {"source": "x"}, "environment": {"device": "cpu"}}',
    ],
)  # fmt: skip
def test_a_broken_one_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunRecordError, match=r"run\.json is broken \("):
        RunRecord.read(tmp_path)


def test_only_what_both_know_can_differ() -> None:
    there = Environment(4, "cuda", "bfloat16", "2.14.1", None)
    assert list(HERE.differences(there)) == ["processes 4 instead of 1", "device cuda instead of cpu"]
    assert list(HERE.differences(HERE)) == []


def test_which_endings_leave_nothing_to_do() -> None:
    assert [ending for ending in Ending if ending.is_over] == [Ending.ALL_EPOCHS, Ending.EARLY_STOP]
