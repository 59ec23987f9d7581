"""Folders that wait for files stay, those that came with them go."""

import os
import time
from pathlib import Path

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.test_inbox import Watching
from worker.empty_folders import IDLE_SECONDS, USED_AGAIN_SECONDS, EmptyFolders

DROP, STUDY, SERIES = Path("scanner-3"), Path("study"), Path("study/series")


@pytest.fixture
def running() -> EmptyFolders:
    """Of a worker that found nothing at its start."""
    folders = EmptyFolders()
    assert folders.look({}, 0) == []
    return folders


def test_those_there_at_the_start_stay() -> None:
    folders = EmptyFolders()
    for moment, has_files in ((0, True), (1, False), (10 * IDLE_SECONDS, False)):
        assert folders.look({DROP: has_files}, moment) == []


def test_one_made_to_wait_stays(running: EmptyFolders) -> None:
    for moment, has_files in ((1, False), (2, True), (3, False), (10 * IDLE_SECONDS, False)):
        assert running.look({DROP: has_files}, moment) == []


def test_one_that_came_with_files_goes_with_all_in_it(running: EmptyFolders) -> None:
    running.look({STUDY: True}, 1)
    running.look({STUDY: True, SERIES: False}, 2)
    running.look({STUDY: False, SERIES: False}, 3)
    assert running.look({STUDY: False, SERIES: False}, IDLE_SECONDS + 2) == [SERIES]
    assert running.look({STUDY: False, SERIES: False}, IDLE_SECONDS + 3) == [SERIES, STUDY]


def test_a_study_in_a_drop_folder_goes_alone(running: EmptyFolders) -> None:
    study = DROP / "study"
    running.look({DROP: False}, 1)
    running.look({DROP: True, study: True}, 2)
    running.look({DROP: False, study: False}, 3)
    assert running.look({DROP: False, study: False}, 4 + IDLE_SECONDS) == [study]


@pytest.mark.parametrize(("pause", "stays"), [(USED_AGAIN_SECONDS, True), (USED_AGAIN_SECONDS / 2, False)])
def test_one_that_is_used_again_stays(running: EmptyFolders, pause: float, stays: bool) -> None:
    running.look({DROP: True}, 1)
    running.look({DROP: False}, 2)
    running.look({DROP: True}, 2 + pause)
    running.look({DROP: False}, 3 + pause)
    assert running.look({DROP: False}, 10 * IDLE_SECONDS) == ([] if stays else [DROP])


def test_one_that_is_removed_and_made_again_is_new(running: EmptyFolders) -> None:
    running.look({DROP: True}, 1)
    running.look({}, 2)
    running.look({DROP: False}, 3)
    assert running.look({DROP: False}, 10 * IDLE_SECONDS) == []


def test_by_the_worker(services: ClockedServices, monkeypatch: pytest.MonkeyPatch) -> None:
    services.settings.rescan_seconds = 0.05
    watching = Watching(services)
    drop, study = watching.folder / "scanner-3", watching.folder / "study"
    drop.mkdir()
    os.utime(drop, (0, 0))  # as by a clock set ahead
    watching.inbox.look()
    study.mkdir()
    for folder in (drop, study):
        (folder / "a.png").touch()
    watching.look_until_taken("scanner-3/a.png", "study/a.png")
    os.utime(drop, (0, 0))
    monkeypatch.setattr("worker.empty_folders.IDLE_SECONDS", 0.2)
    watching.look_until(lambda: not study.exists())
    time.sleep(0.3)
    watching.inbox.look()
    assert drop.is_dir()
