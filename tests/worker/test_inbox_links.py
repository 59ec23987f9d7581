"""Links in the inbox, and things swapped under the worker's hands: nothing outside is read, moved or changed."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import ClockedServices
from tests.worker.test_inbox import Watching
from worker import inbox_files
from worker.folders import make_folders
from worker.settings import Settings, WatchMode

SECRET = b"other patients"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the inbox, on its file system, with a file that only the worker may read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.dcm").write_bytes(SECRET)
    (folder / "secret.dcm").chmod(0o600)
    return folder


@pytest.fixture(params=[WatchMode.INOTIFY, WatchMode.POLLING])
def watching(request: pytest.FixtureRequest, services: ClockedServices) -> Iterator[Watching]:
    services.settings.watch, services.settings.rescan_seconds = request.param, 0.05
    watching = Watching(services)
    watching.inbox.open()
    yield watching
    watching.inbox.close()


def test_links_are_left_lying_and_what_they_lead_to_stays(watching: Watching, outside: Path) -> None:
    secret = outside / "secret.dcm"
    (watching.folder / "link.dcm").symlink_to(secret)
    (watching.folder / "folder").symlink_to(outside)
    (watching.folder / "home").symlink_to(watching.services.settings.home)
    (watching.folder / "hard.dcm").hardlink_to(secret)
    for number in range(3):  # each takes a look or more at what lies there before
        (watching.folder / f"{number}.dcm").write_bytes(b"scan")
        watching.look_until_taken(f"{number}.dcm")
    assert watching.names() == {"0.dcm", "1.dcm", "2.dcm"}
    assert secret.read_bytes() == SECRET
    assert (watching.folder / "hard.dcm").samefile(secret)
    assert (watching.services.settings.home / "triage.db").exists()


def test_a_second_name_of_what_everybody_may_read_is_taken_and_the_first_stays(
    watching: Watching, outside: Path
) -> None:
    public = outside / "scan.dcm"
    public.write_bytes(b"scan")
    public.chmod(0o644)
    (watching.folder / "scan.dcm").hardlink_to(public)
    watching.look_until_taken("scan.dcm")
    inbox_files.forget_claim(watching.services.settings.claimed, watching.rows()[0].claim_id)
    assert public.read_bytes() == b"scan"


def test_a_folder_swapped_for_a_link_leads_nowhere(watching: Watching) -> None:
    """Without care this took the database: the path of a file noticed before leads there afterwards."""
    database = watching.services.settings.home / "triage.db"
    ward = watching.folder / "ward"
    ward.mkdir()
    with (ward / "triage.db").open("wb") as held:  # not claimed while it is open
        held.write(b"scan")
        held.flush()
        for _ in range(20):
            watching.inbox.look()
        ward.rename(watching.folder / ".aside")
        ward.symlink_to(watching.services.settings.home)
    (watching.folder / "a.dcm").write_bytes(b"scan")
    watching.look_until_taken("a.dcm")
    for _ in range(100):
        watching.inbox.look()
        time.sleep(0.01)
    assert watching.names() == {"a.dcm"}
    assert database.is_file()


class TestClaim:
    @pytest.fixture
    def inbox(self, tmp_path: Path) -> Path:
        (tmp_path / "inbox" / ".claimed").mkdir(parents=True)
        return tmp_path / "inbox"

    @pytest.mark.parametrize("way", ["ward", "ward/deeper"])
    def test_a_link_on_the_way_is_refused(self, inbox: Path, outside: Path, way: str) -> None:
        (inbox / way).parent.mkdir(exist_ok=True)
        (inbox / way).symlink_to(outside)
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            inbox_files.claim(inbox, inbox / ".claimed", inbox / way / "secret.dcm")
        assert (outside / "secret.dcm").read_bytes() == SECRET
        assert list((inbox / ".claimed").iterdir()) == []

    @pytest.mark.parametrize(
        "make",
        [
            lambda path, outside: path.symlink_to(outside / "secret.dcm"),
            lambda path, _: path.symlink_to("nowhere"),
            lambda path, outside: path.hardlink_to(outside / "secret.dcm"),
            lambda path, _: os.mkfifo(path),
            lambda path, _: path.mkdir(),
        ],
        ids=["link", "dangling", "hard link", "pipe", "folder"],
    )
    def test_what_is_no_file_of_its_own_is_not_claimed(
        self, inbox: Path, outside: Path, make: Callable[[Path, Path], None]
    ) -> None:
        make(inbox / "a.dcm", outside)
        assert inbox_files.claim(inbox, inbox / ".claimed", inbox / "a.dcm") is None
        assert os.path.lexists(inbox / "a.dcm")
        assert list((inbox / ".claimed").iterdir()) == []

    def test_a_swap_between_look_and_rename_is_undone(
        self, inbox: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, real = inbox / "a.dcm", os.rename
        path.write_bytes(b"scan")
        path.chmod(0o644)

        def swap_and_rename(source: Any, target: Any, **folders: Any) -> None:
            if source == "a.dcm":
                path.unlink()
                path.symlink_to(outside / "secret.dcm")
            real(source, target, **folders)

        monkeypatch.setattr(os, "rename", swap_and_rename)
        assert inbox_files.claim(inbox, inbox / ".claimed", path) is None
        (left,) = [entry for entry in inbox.iterdir() if entry.name != ".claimed"]
        assert left.is_symlink()
        assert list((inbox / ".claimed").iterdir()) == []

    def test_a_folder_swapped_in_loses_none_of_its_files(
        self, inbox: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, real = inbox / "a.dcm", os.rename
        path.write_bytes(b"scan")

        def swap_and_rename(source: Any, target: Any, **folders: Any) -> None:
            if source == "a.dcm":
                path.unlink()
                real(outside, path)
            real(source, target, **folders)

        monkeypatch.setattr(os, "rename", swap_and_rename)
        assert inbox_files.claim(inbox, inbox / ".claimed", path) is None
        (listed,) = inbox_files.list_inbox(inbox)
        assert listed.read_bytes() == SECRET


def test_nobody_elses_folder_for_claimed_files_is_taken(tmp_path: Path, outside: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    settings.inbox.mkdir(parents=True)
    settings.claimed.symlink_to(outside)
    with pytest.raises(NotADirectoryError, match="link"):
        make_folders(settings)
