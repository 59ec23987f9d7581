"""The folders of TRIAGE_HOME and their permissions."""

import os
import stat
from pathlib import Path

import pytest

from worker.folders import is_open_to_others, make_folders
from worker.settings import Settings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_shared_and_private_ones(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "a" / "home", share_mode=0o777)
    umask = os.umask(0)
    try:
        for _ in range(2):
            make_folders(settings)
    finally:
        os.umask(umask)
    inbox = [settings.inbox, settings.inbox / "stat"]
    shared = [settings.outbox, settings.outbox / "reports"]
    private = [settings.claimed, settings.store, settings.broker_folder, settings.broker_folder / "control"]
    assert {mode(path) for path in inbox} == {0o1777}
    assert {mode(path) for path in shared} == {0o777}
    assert {mode(path) for path in private} == {0o700}
    assert mode(settings.home / "triage.db") == 0o600
    assert mode(settings.home) == 0o755  # others may pass through, and not put another store in its place
    assert not is_open_to_others(settings.home)


def test_permissions_that_are_too_wide_are_taken_back(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    make_folders(settings)
    for path, wide in ((settings.store, 0o755), (settings.claimed, 0o777), (settings.home / "triage.db", 0o644)):
        path.chmod(wide)
    make_folders(settings)
    assert {mode(settings.store), mode(settings.claimed)} == {0o700}
    assert mode(settings.home / "triage.db") == 0o600


@pytest.mark.parametrize(("mode", "is_open"), [(0o755, False), (0o775, True), (0o757, True), (0o1777, False)])
def test_a_home_that_others_can_write_to_is_known(tmp_path: Path, mode: int, is_open: bool) -> None:
    tmp_path.chmod(mode)
    assert is_open_to_others(tmp_path) is is_open


def test_a_link_in_the_place_of_a_shared_folder_shares_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    make_folders(settings)
    (settings.inbox / "stat").rmdir()
    (settings.inbox / "stat").symlink_to(settings.store)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        make_folders(settings)
    assert mode(settings.store) == 0o700


def test_no_sqlite_file_beside_another_database(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql+psycopg://u@h/d")
    make_folders(settings)
    assert not (tmp_path / "triage.db").exists()
