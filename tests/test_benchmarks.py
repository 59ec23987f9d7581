"""The parts of the benchmarks that can go wrong without being seen."""

import os

import pytest

from benchmarks.end_to_end import resident_mib


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
