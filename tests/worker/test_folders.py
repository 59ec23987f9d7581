"""The folders of TRIAGE_HOME and their permissions."""

import os
import stat
from pathlib import Path

from worker.folders import make_folders
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


def test_no_sqlite_file_beside_another_database(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql+psycopg://u@h/d")
    make_folders(settings)
    assert not (tmp_path / "triage.db").exists()
