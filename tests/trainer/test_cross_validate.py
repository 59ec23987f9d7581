"""Grouped cross-validation from the command line, on the small data set."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from trainer import cross_validate
from trainer.run import TrainingRun


def command(data: Path, out: Path, *others: str) -> list[str]:
    return ["--data", str(data), "--scratch", "--size", "64", "--epochs", "2", "--batch-size", "4",
            "--out", str(out), *others]  # fmt: skip


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("folds") / "cv"
    assert cross_validate.main(command(data, out)) == 0
    return out


def result(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "cross-validation.json").read_text()))


class TestResult:
    def test_every_image_is_answered_once(self, finished: Path) -> None:
        found = result(finished)
        with (finished / "folds.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len({row["sha256"] for row in rows}) == len(rows) == found["protocol"]["images"] == 80
        assert found["protocol"]["repeats_left_out"] == 2
        assert found["all_folds"]["images"] == 80
        assert Counter(row["fold"] for row in rows) == {
            str(number): fold["images"] for number, fold in enumerate(found["folds"], start=1)
        }

    def test_no_fold_has_seen_what_it_is_tested_on(self, finished: Path) -> None:
        with (finished / "folds.csv").open(newline="") as file:
            fold_of = {row["sha256"]: row["fold"] for row in csv.DictReader(file)}
        for number in ("1", "2", "3"):
            for name in ("training-files.csv", "held-out-files.csv"):
                with (finished / f"fold-{number}" / name).open(newline="") as file:
                    assert all(fold_of[row["sha256"]] != number for row in csv.DictReader(file))

    def test_figures_fit_together(self, finished: Path) -> None:
        found = result(finished)
        right = sum(fold["accuracy"] * fold["images"] for fold in found["folds"])
        assert found["all_folds"]["accuracy"] == pytest.approx(right / 80)
        low, high = found["all_folds"]["accuracy_ci95"]
        assert low <= found["all_folds"]["accuracy"] <= high
        assert found["protocol"]["folds"] == 3
        assert sum(fold["groups"] for fold in found["folds"]) == found["protocol"]["groups"]
        assert found["all_folds"]["groups"] == found["protocol"]["groups"]
        assert (finished / "worst-errors.jpg").is_file()

    def test_a_finished_one_trains_nothing_and_says_the_same(
        self, finished: Path, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = result(finished)
        monkeypatch.setattr(TrainingRun, "_one_epoch", lambda *_: pytest.fail("trained again"))
        assert cross_validate.main(command(data, finished)) == 0
        assert result(finished) == before


class TestGoingOn:
    def test_an_interrupted_one_ends_like_an_uninterrupted_one(
        self, finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one_epoch = TrainingRun._one_epoch

        def interrupted(run: TrainingRun, epoch: int) -> dict[str, float]:
            if (run.folder.name, epoch) == ("fold-2", 2):
                raise KeyboardInterrupt
            return one_epoch(run, epoch)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingRun, "_one_epoch", interrupted)
            with pytest.raises(KeyboardInterrupt):
                cross_validate.main(command(data, tmp_path / "cv"))
        assert cross_validate.main(command(data, tmp_path / "cv")) == 0
        assert result(tmp_path / "cv") == result(finished)

    def test_out_of_time_says_that_the_same_command_goes_on(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cross_validate.main(command(data, tmp_path / "cv", "--minutes", "0.0001")) == 2
        assert "no time for the rest of fold 1; the same command goes on with it." in capsys.readouterr().err

    def test_another_seed_is_another_cross_validation(
        self, finished: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = (finished / "folds.csv").read_bytes()
        assert cross_validate.main(command(data, finished, "--seed", "2")) == 2
        assert "fold-1 holds a run of another seed (1)" in capsys.readouterr().err
        assert (finished / "folds.csv").read_bytes() == before


def test_fewer_than_three_folds_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        cross_validate.main(command(data, tmp_path, "--folds", "2"))
