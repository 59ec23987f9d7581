"""How a run ended is written into its folder once, and asked for later."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn
from torch.optim import SGD

from trainer.checkpoint import Progress, save_checkpoint
from trainer.run_folder import record_end, recorded_end
from trainer.run_record import End, Ending, RunRecord, StartWeights

BEGUN = RunRecord(1, StartWeights("scratch"))


def a_run(folder: Path, done: int, is_over: bool, is_first: bool = True) -> Any:
    """What `record_end` asks of a `TrainingRun` of nine epochs."""
    return SimpleNamespace(
        folder=folder,
        recipe=SimpleNamespace(epochs=9),
        progress=Progress({"epochs": 9}, done),
        is_over=is_over,
        processes=SimpleNamespace(is_first=is_first),
    )


def save_progress(folder: Path, done: int) -> None:
    model = nn.Linear(1, 1)
    save_checkpoint(
        folder, {"model": model}, SGD([{"params": model.parameters(), "betas": 0}]), Progress({"epochs": 9}, done)
    )


class TestRecordEnd:
    @pytest.mark.parametrize(
        ("done", "is_over", "ending"),
        [(9, True, Ending.ALL_EPOCHS), (4, True, Ending.EARLY_STOP), (4, False, Ending.OUT_OF_TIME)],
    )
    def test_why_it_stopped(self, done: int, is_over: bool, ending: Ending, tmp_path: Path) -> None:
        BEGUN.write(tmp_path)
        record_end(a_run(tmp_path, done, is_over))
        assert RunRecord.read(tmp_path) == RunRecord(1, StartWeights("scratch"), end=End(done, ending))

    def test_the_same_end_is_not_written_twice(self, tmp_path: Path) -> None:
        BEGUN.write(tmp_path)
        record_end(a_run(tmp_path, 9, True))
        before = (tmp_path / "run.json").stat()
        record_end(a_run(tmp_path, 9, True))
        assert (tmp_path / "run.json").stat() == before

    def test_only_the_first_process_writes(self, tmp_path: Path) -> None:
        BEGUN.write(tmp_path)
        record_end(a_run(tmp_path, 9, True, is_first=False))
        assert RunRecord.read(tmp_path) == BEGUN

    def test_a_run_of_before_run_json_has_nothing_to_write_into(self, tmp_path: Path) -> None:
        record_end(a_run(tmp_path, 9, True))
        assert list(tmp_path.iterdir()) == []


class TestRecordedEnd:
    def test_what_was_written(self, tmp_path: Path) -> None:
        BEGUN.write(tmp_path)
        save_progress(tmp_path, 4)
        record_end(a_run(tmp_path, 4, True))
        assert recorded_end(tmp_path) == End(4, Ending.EARLY_STOP)

    def test_a_killed_run(self, tmp_path: Path) -> None:
        BEGUN.write(tmp_path)
        save_progress(tmp_path, 4)
        assert recorded_end(tmp_path) == End(4, Ending.INTERRUPTED)

    def test_a_run_that_was_gone_on_with_and_killed(self, tmp_path: Path) -> None:
        BEGUN.write(tmp_path)
        record_end(a_run(tmp_path, 4, False))
        save_progress(tmp_path, 6)
        assert recorded_end(tmp_path) == End(6, Ending.INTERRUPTED)

    def test_an_older_run_that_has_every_epoch(self, tmp_path: Path) -> None:
        save_progress(tmp_path, 9)
        assert recorded_end(tmp_path) == End(9, Ending.ALL_EPOCHS)

    def test_a_folder_whose_checkpoint_was_thrown_away(self, tmp_path: Path) -> None:
        BEGUN.write(tmp_path)
        assert recorded_end(tmp_path) is None
        record_end(a_run(tmp_path, 9, True))
        assert recorded_end(tmp_path) == End(9, Ending.ALL_EPOCHS)
