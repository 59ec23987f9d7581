"""The inbox without Celery: real watchdog on a real folder, waited for by looking, never by sleeping a fixed time."""

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from watchdog.observers.polling import PollingObserver

from tests.worker.conftest import ClockedServices
from worker import inbox_files
from worker.inbox import ADOPT_AFTER_SECONDS, Inbox, InboxStep
from worker.pipeline import Queue
from worker.settings import WatchMode
from worker.store import queries
from worker.store.models import FileState, ScanFile
from worker.store.session import open_engine, session_factory

PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.01


class Watching:
    """An open inbox and what came of it."""

    def __init__(self, services: ClockedServices) -> None:
        self.services = services
        self.folder = services.settings.inbox
        self.rings = 0
        self.inbox = Inbox(services, self._ring)

    def _ring(self) -> None:
        self.rings += 1

    def rows(self) -> list[ScanFile]:
        with self.services.session.begin() as session:
            return list(session.scalars(select(ScanFile).order_by(ScanFile.id)))

    def names(self) -> set[str]:
        return {row.original_name for row in self.rows()}

    def look_until(self, holds: Callable[[], bool]) -> None:
        """Look as the worker's timer does, until it holds."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, f"taken so far: {self.names()}"
            self.inbox.look()
            time.sleep(LOOK_EVERY_SECONDS)

    def look_until_taken(self, *names: str) -> None:
        self.look_until(lambda: self.names() >= set(names))

    def claimed_bytes(self, row: ScanFile) -> bytes:
        path = inbox_files.claimed_file(self.services.settings.claimed, row.claim_id)
        assert path is not None
        return path.read_bytes()


@pytest.fixture
def watching(services: ClockedServices) -> Iterator[Watching]:
    watching = Watching(services)
    watching.inbox.open()
    watching.inbox.look()  # the first listing finds an empty folder: from now on it is events
    yield watching
    watching.inbox.close()


@pytest.fixture
def unopened(services: ClockedServices) -> Watching:
    """Hears no events at all, as if every one was lost."""
    services.settings.rescan_seconds = 0.05
    return Watching(services)


def test_without_kernel_events_it_looks_regularly(
    services: ClockedServices, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refused(PollingObserver):
        def start(self) -> None:
            raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr("worker.inbox_watch.Observer", Refused)
    services.settings.settle_seconds = 0.1
    watching = Watching(services)
    watching.inbox.open()
    try:
        assert "no kernel events (ENOSPC)" in caplog.text
        (watching.folder / "a.jpg").write_bytes(b"bytes")
        watching.look_until_taken("a.jpg")
    finally:
        watching.inbox.close()


class TestEvents:
    def test_a_file_that_is_written_is_taken_once(self, watching: Watching) -> None:
        (watching.folder / "a.jpg").write_bytes(b"bytes")
        watching.look_until_taken("a.jpg")
        (row,) = watching.rows()
        assert (row.state, row.rank, watching.claimed_bytes(row)) == (FileState.CLAIMED, 2, b"bytes")
        assert watching.rings == 1
        assert not (watching.folder / "a.jpg").exists()
        (watching.folder / "later.jpg").write_bytes(b"bytes")
        watching.look_until_taken("later.jpg")
        assert (len(watching.rows()), watching.rings) == (2, 2)

    def test_many_files_do_not_list_the_folder_many_times(
        self, watching: Watching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed: list[Path] = []
        real = inbox_files.folders
        monkeypatch.setattr(
            inbox_files, "folders", lambda folder, *level: (listed.append(folder), real(folder, *level))[1]
        )
        names = [f"{number}.jpg" for number in range(300)]
        for name in names:
            (watching.folder / name).write_bytes(b"bytes")
        watching.look_until_taken(*names)
        assert len(listed) <= 2

    def test_a_file_that_is_moved_in(self, watching: Watching, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"bytes")
        (tmp_path / "a.jpg").rename(watching.folder / "b.jpg")
        watching.look_until_taken("b.jpg")

    @pytest.mark.parametrize("written_as", ["a.jpg", "a.jpg.part"], ids=["closed", "renamed"])
    def test_one_that_is_known_to_be_complete_need_not_stand_still_longer(
        self, watching: Watching, monkeypatch: pytest.MonkeyPatch, written_as: str
    ) -> None:
        monkeypatch.setattr("worker.stability.LONGER_WITHOUT_CLOSE", 1e9)
        path = watching.folder / written_as
        path.write_bytes(b"bytes")
        if written_as != "a.jpg":
            path.rename(watching.folder / "a.jpg")
        watching.look_until_taken("a.jpg")

    def test_a_folder_that_is_moved_in_whole(self, watching: Watching, tmp_path: Path) -> None:
        (tmp_path / "study" / "series").mkdir(parents=True)
        (tmp_path / "study" / "series" / "1.dcm").touch()
        (tmp_path / "study" / "2.dcm").touch()
        (tmp_path / "study").rename(watching.folder / "study")
        watching.look_until_taken("study/series/1.dcm", "study/2.dcm")

    def test_a_folder_that_is_copied_in(self, watching: Watching) -> None:
        for number in range(20):
            path = watching.folder / "study" / f"series {number % 3}" / f"{number}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        watching.look_until_taken(*(f"study/series {number % 3}/{number}.dcm" for number in range(20)))

    def test_a_file_that_grows_is_left_until_it_is_closed(self, watching: Watching) -> None:
        with (watching.folder / "slow.dcm").open("wb") as slow:
            for _ in range(30):
                slow.write(b"x" * 1000)
                slow.flush()
                watching.inbox.look()
                time.sleep(LOOK_EVERY_SECONDS)
                assert watching.rows() == []
        watching.look_until_taken("slow.dcm")
        assert len(watching.claimed_bytes(watching.rows()[0])) == 30_000

    def test_an_ignored_name_counts_once_it_is_renamed(self, watching: Watching) -> None:
        (watching.folder / "a.dcm.part").write_bytes(b"bytes")
        (watching.folder / "first.dcm").write_bytes(b"bytes")
        watching.look_until_taken("first.dcm")
        (watching.folder / "a.dcm.part").rename(watching.folder / "a.dcm")
        watching.look_until_taken("a.dcm")
        assert watching.names() == {"first.dcm", "a.dcm"}

    def test_links_and_pipes_are_never_touched(self, watching: Watching, tmp_path: Path) -> None:
        (tmp_path / "secret.jpg").write_bytes(b"secret")
        (watching.folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
        (watching.folder / "linked").symlink_to(tmp_path)
        os.mkfifo(watching.folder / "pipe.jpg")
        for name in ("first.jpg", "second.jpg"):  # the second is noticed after the first has been taken
            (watching.folder / name).write_bytes(b"bytes")
            watching.look_until_taken(name)
        assert watching.names() == {"first.jpg", "second.jpg"}
        assert (watching.folder / "link.jpg").is_symlink()

    def test_files_for_the_urgent_go_first(self, watching: Watching) -> None:
        (watching.folder / "stat" / "now.jpg").write_bytes(b"bytes")
        watching.look_until_taken("stat/now.jpg")
        assert watching.rows()[0].rank == 0

    def test_names_of_any_bytes(self, watching: Watching) -> None:
        names = [b"line\nbreak.jpg", "🧠.jpg".encode(), b"bad-\xff.jpg", b"quote'\".jpg", b"n" * 251 + b".jpg"]
        for name in names:
            (watching.folder / os.fsdecode(name)).write_bytes(name)
        expected = {name.decode("utf-8", "backslashreplace") for name in names}
        watching.look_until_taken(*expected)
        assert {row.original_name: watching.claimed_bytes(row) for row in watching.rows()} == {
            name.decode("utf-8", "backslashreplace"): name for name in names
        }

    def test_polling_needs_no_events(self, services: ClockedServices) -> None:
        services.settings.watch = WatchMode.POLLING
        watching = Watching(services)
        watching.inbox.open()
        try:
            watching.inbox.look()
            (watching.folder / "a.jpg").write_bytes(b"bytes")
            watching.look_until_taken("a.jpg")
        finally:
            watching.inbox.close()

    def test_what_is_not_taken_yet_stays_for_the_next_start(self, services: ClockedServices) -> None:
        first = Watching(services)
        first.inbox.open()
        (first.folder / "a.jpg").write_bytes(b"bytes")
        first.inbox.close()
        assert (first.folder / "a.jpg").exists()
        second = Watching(services)
        second.look_until_taken("a.jpg")


class TestListing:
    def test_files_that_lay_there_before_the_start(self, unopened: Watching) -> None:
        (unopened.folder / "ward").mkdir()
        (unopened.folder / "ward" / "a.jpg").write_bytes(b"bytes")
        unopened.look_until_taken("ward/a.jpg")

    def test_lost_events_are_made_up_for(self, unopened: Watching) -> None:
        unopened.inbox.look()
        (unopened.folder / "a.jpg").write_bytes(b"bytes")
        unopened.look_until_taken("a.jpg")

    def test_many_files_are_taken_in_several_looks(self, unopened: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("worker.inbox.CLAIMS_A_LOOK", 4)
        for number in range(10):
            (unopened.folder / f"{number}.jpg").touch()
        unopened.look_until(lambda: len(unopened.rows()) == 10)
        assert unopened.rings == 3

    def test_the_urgent_are_among_the_first_and_no_more_are_opened_than_taken(
        self, unopened: Watching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.inbox.CLAIMS_A_LOOK", 4)
        asked: list[Path] = []
        monkeypatch.setattr(inbox_files, "is_being_written", lambda path: bool(asked.append(path)))
        paths = [unopened.folder / f"{number}.jpg" for number in range(10)]
        for path in (*paths, unopened.folder / "stat" / "now.jpg"):
            path.touch()
        unopened.inbox._tracker.noticed(paths)  # before the listing finds the urgent one
        unopened.look_until(lambda: unopened.rings == 1)
        assert len(asked) == 4
        assert unopened.rows()[0].original_name == "stat/now.jpg"
        unopened.look_until(lambda: len(unopened.rows()) == 11)
        assert len(asked) == 11

    def test_files_being_written_take_no_places(self, unopened: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("worker.inbox.CLAIMS_A_LOOK", 2)
        monkeypatch.setattr(inbox_files, "is_being_written", lambda path: path.name < "3")
        for number in range(6):
            (unopened.folder / f"{number}.jpg").touch()
        unopened.look_until_taken("3.jpg", "4.jpg", "5.jpg")
        assert len(unopened.rows()) == 3

    def test_a_full_disk_leaves_files_where_they_are(self, unopened: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
        (unopened.folder / "a.jpg").write_bytes(b"bytes")
        asked: list[None] = []
        monkeypatch.setattr(unopened.services, "has_room", lambda: asked.append(None))
        unopened.look_until(lambda: len(asked) == 3)
        assert (unopened.folder / "a.jpg").exists()
        monkeypatch.setattr(unopened.services, "has_room", lambda: True)
        unopened.look_until_taken("a.jpg")

    def test_a_file_that_cannot_be_taken_costs_the_others_nothing(
        self, unopened: Watching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        real_claim = inbox_files.claim

        def claim(inbox: Path, claimed: Path, path: Path) -> str | None:
            if path.name == "Anna Test.jpg":
                raise PermissionError(13, "Permission denied", str(path))
            return real_claim(inbox, claimed, path)

        monkeypatch.setattr(inbox_files, "claim", claim)
        for name in ("0.jpg", "Anna Test.jpg", "z.jpg"):
            (unopened.folder / name).touch()
        with caplog.at_level(logging.WARNING):
            unopened.look_until_taken("0.jpg", "z.jpg")
            unopened.look_until(lambda: "cannot be taken" in caplog.text)
        assert "EACCES" in caplog.text
        assert "Anna" not in caplog.text
        assert (unopened.folder / "Anna Test.jpg").exists()

    def test_a_file_that_vanishes_is_no_trouble(self, unopened: Watching) -> None:
        (unopened.folder / "gone.jpg").touch()
        unopened.inbox.look()
        (unopened.folder / "gone.jpg").unlink()
        (unopened.folder / "a.jpg").touch()
        unopened.look_until_taken("a.jpg")
        assert unopened.names() == {"a.jpg"}


class TestTrouble:
    def test_a_database_that_is_away_costs_no_file(
        self, unopened: Watching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (unopened.folder / "Anna Test.jpg").write_bytes(b"bytes")
        with monkeypatch.context() as away:
            away.setitem(vars(unopened.services), "session", session_factory(open_engine("sqlite:////nowhere/at.all")))
            unopened.look_until(lambda: "does not answer" in caplog.text)
        assert not (unopened.folder / "Anna Test.jpg").exists(), "claimed before the database was asked"
        for folder in unopened.services.settings.claimed.iterdir():
            os.utime(folder, (0, 0))
        unopened.look_until_taken("Anna Test.jpg")
        assert "Anna" not in caplog.text

    def test_a_disk_that_refuses_is_logged_without_the_path(
        self, unopened: Watching, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse(folder: Path, *_: int) -> None:
            raise PermissionError(13, "Permission denied", str(folder / "Anna Test.jpg"))

        monkeypatch.setattr(inbox_files, "folders", refuse)
        unopened.inbox.look()
        assert "EACCES" in caplog.text
        assert "Anna" not in caplog.text


class TestAdoption:
    def orphan(self, watching: Watching, claim_id: str, age_seconds: float) -> Path:
        """A claimed file that nobody wrote down."""
        folder = watching.services.settings.claimed / claim_id
        folder.mkdir()
        (folder / f"{claim_id}.jpg").write_bytes(b"bytes")
        moment = time.time() - age_seconds
        os.utime(folder, (moment, moment))
        return folder

    def test_a_claim_that_a_killed_worker_left_is_registered(self, unopened: Watching) -> None:
        self.orphan(unopened, "a" * 32, ADOPT_AFTER_SECONDS + 5)
        unopened.look_until_taken(f"{'a' * 32}.jpg")
        assert unopened.rings == 1
        (unopened.folder / "later.jpg").touch()
        unopened.look_until_taken("later.jpg")
        assert (len(unopened.rows()), unopened.rings) == (2, 2)

    def test_one_made_just_now_is_somebody_elses(self, unopened: Watching) -> None:
        self.orphan(unopened, "a" * 32, ADOPT_AFTER_SECONDS + 5)
        self.orphan(unopened, "b" * 32, 0)
        unopened.look_until_taken(f"{'a' * 32}.jpg")
        assert unopened.names() == {f"{'a' * 32}.jpg"}

    @pytest.mark.parametrize(
        ("state", "sha256", "stays"),
        [
            (FileState.READ, "f" * 64, False),
            (FileState.REJECTING, "f" * 64, False),
            (FileState.CLAIMED, "f" * 64, True),
            (FileState.REJECTED, None, True),
        ],
        ids=["read", "rejecting", "still being read", "never stored"],
    )
    def test_a_claim_goes_when_its_bytes_are_stored_and_its_row_is_done(
        self, unopened: Watching, state: FileState, sha256: str | None, stays: bool
    ) -> None:
        folder = self.orphan(unopened, "a" * 32, ADOPT_AFTER_SECONDS + 5)
        with unopened.services.session.begin() as session:
            queries.add_file(session, "a" * 32, "a.jpg", 1, unopened.services.now())
            row = session.scalars(select(ScanFile)).one()
            row.state, row.sha256 = state, sha256
        unopened.inbox.look()
        assert folder.exists() is stays
        assert len(unopened.rows()) == 1

    def test_a_claim_that_nothing_was_put_into_goes(self, unopened: Watching) -> None:
        file = next(path for path in self.orphan(unopened, "a" * 32, 0).rglob("*") if path.is_file())
        file.unlink()
        nested = unopened.services.settings.claimed / ("a" * 32) / "sub"
        nested.mkdir()
        long_ago = time.time() - ADOPT_AFTER_SECONDS - 5
        os.utime(nested.parent, (long_ago, long_ago))
        unopened.inbox.look()
        assert not nested.parent.exists()
        assert (unopened.rows(), unopened.rings) == ([], 0)

    def test_no_claims_folder_is_no_trouble(self, unopened: Watching) -> None:
        unopened.services.settings.claimed.rmdir()
        unopened.inbox.look()
        assert unopened.rows() == []


class TestStep:
    """The bootstep, on a stand-in for the worker."""

    @staticmethod
    def parent(services: ClockedServices, queues: set[str]) -> SimpleNamespace:
        calls: list[tuple] = []
        return SimpleNamespace(
            app=SimpleNamespace(
                services=services,
                ring=lambda _: None,
                amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)),
            ),
            timer=SimpleNamespace(call_repeatedly=lambda *call: calls.append(call), calls=calls),
            steps=[],
        )

    @pytest.mark.parametrize(
        ("queues", "included"), [({Queue.INTAKE, Queue.REPORTS}, True), ({Queue.INFERENCE}, False)]
    )
    def test_only_where_intake_is_served(self, services: ClockedServices, queues: set[str], included: bool) -> None:
        parent = self.parent(services, queues)
        assert InboxStep(parent).include_if(parent) is included

    def test_opens_looks_and_closes(self, services: ClockedServices) -> None:
        parent = self.parent(services, {Queue.INTAKE})
        step = InboxStep(parent)
        step.start(parent)
        try:
            (call,) = parent.timer.calls
            assert call[1] == step.inbox.look
        finally:
            step.stop(parent)
        assert step.inbox is None
        step.stop(parent)  # a worker may be stopped twice


def test_a_writer_may_pause_as_long_as_it_likes(services: ClockedServices) -> None:
    watching = Watching(services)
    path = watching.folder / "slow.dcm"
    with path.open("wb") as writer:
        writer.write(b"half")
        writer.flush()
        # far beyond the settle time: all that was heard was a write, and then nothing
        watching.look_until(lambda: path in watching.inbox._tracker.paths and settled_by_the_clock(watching, path))
        assert watching.rows() == []
        writer.write(b" and half")
    watching.look_until_taken("slow.dcm")
    assert watching.claimed_bytes(watching.rows()[0]) == b"half and half"


def settled_by_the_clock(watching: Watching, path: Path) -> bool:
    watched = watching.inbox._tracker._watched[path]
    return time.monotonic() - watched.still_since > 20 * watching.services.settings.settle_seconds
