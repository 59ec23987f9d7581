"""The parts of the benchmarks that can go wrong without being seen."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import large_study
from benchmarks.end_to_end import resident_mib
from tests.worker.scans import FakePredictor
from worker.services import Services
from worker.settings import Settings


def test_memory_of_a_process_group() -> None:
    assert max(resident_mib(os.getpgid(0))) > 10


def test_processes_that_end_meanwhile_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = os.getpid()

    def only_ours_is_left(process: int) -> int:
        if process != ours:
            raise ProcessLookupError
        return 7

    monkeypatch.setattr(os, "getpgid", only_ours_is_left)
    assert len(resident_mib(7)) == 1


def test_the_slices_of_a_large_study_are_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = FakePredictor()
    monkeypatch.setattr(Services, "predictor", predictor)
    settings = Settings(home=tmp_path / "home", quiet_seconds=0, min_free_bytes=0)
    large_study.drop_study(settings, 12, tmp_path / "no series")
    costs = large_study.read_study(settings)
    assert [cost.stage for cost in costs] == ["intake", "analyse", "report", "deliver"]
    assert predictor.batches == [8, 4]


def test_the_peak_of_memory_begins_anew() -> None:
    large_study.forget_peak()
    before = large_study.peak_mib()
    assert np.ones(200 * 2**17).sum() > 0  # 200 MiB: what other threads give back meanwhile is less
    after = large_study.peak_mib()
    assert after > before + 100
    large_study.forget_peak()
    assert large_study.peak_mib() < after - 100
