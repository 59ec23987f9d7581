"""The watch on an inbox that is removed, replaced, or whose events break the watch."""

import os
import shutil
import stat
import threading
from collections.abc import Iterator

import pytest
from watchdog.utils import BaseThread

from tests.worker.conftest import ClockedServices
from tests.worker.test_inbox import Watching
from worker.inbox_watch import InboxEvents
from worker.settings import WatchMode

pytestmark = pytest.mark.parametrize("watch", list(WatchMode))


@pytest.fixture
def watching(services: ClockedServices, watch: WatchMode) -> Iterator[Watching]:
    """Opened, and listed for the last time: from now on it is events."""
    services.settings.watch = watch
    watching = Watching(services)
    watching.inbox.open()
    watching.inbox.look()
    (watching.folder / "first.png").write_bytes(b"bytes")
    watching.look_until_taken("first.png")
    yield watching
    watching.inbox.close()


def heard_and_taken(watching: Watching, name: str) -> None:
    watching.inbox.look()  # the last listing
    (watching.folder / name).write_bytes(b"bytes")
    watching.look_until_taken(name)


def is_as_made(watching: Watching) -> bool:
    settings = watching.services.settings
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (settings.inbox, settings.inbox / "stat", settings.claimed)]
    return modes == [0o1770, 0o1770, 0o700]


@pytest.mark.parametrize("way", ["removed", "renamed"])
def test_one_that_is_gone_is_made_and_watched_anew(
    watching: Watching, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    if way == "removed":
        shutil.rmtree(watching.folder)
    else:
        watching.folder.rename(watching.folder.with_name("old"))
    watching.look_until(lambda: watching.folder.is_dir() and is_as_made(watching))
    for name in ("a.png", "b.png"):
        heard_and_taken(watching, name)
    assert caplog.text.count("the folder is gone, made anew") == 1
    assert len([record for record in caplog.records if record.name.startswith("worker.")]) == 1


def test_one_that_somebody_put_another_in_the_place_of(watching: Watching) -> None:
    watching.folder.rename(watching.folder.with_name("old"))
    watching.folder.mkdir()
    heard_and_taken(watching, "a.png")
    heard_and_taken(watching, "b.png")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_that_died_is_opened_anew(
    watching: Watching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = {thread for thread in threading.enumerate() if isinstance(thread, BaseThread)}
    with monkeypatch.context() as broken:
        broken.setattr(InboxEvents, "on_any_event", lambda *_: 1 / 0)
        (watching.folder / ".kill").touch()
        watching.look_until(lambda: not all(thread.is_alive() for thread in before))
    heard_and_taken(watching, "a.png")
    heard_and_taken(watching, "b.png")
    assert caplog.text.count("its watch has ended, opened anew") == 1


def test_one_that_cannot_be_made_is_said_once_a_listing(watching: Watching, caplog: pytest.LogCaptureFixture) -> None:
    watching.folder.rename(watching.folder.with_name("old"))
    watching.folder.symlink_to("nowhere")
    for _ in range(5):
        watching.inbox.look()
    assert [record.getMessage() for record in caplog.records] == [
        "inbox: the folder is gone, made anew",
        "inbox: EEXIST",
    ]
    assert os.path.lexists(watching.folder)
