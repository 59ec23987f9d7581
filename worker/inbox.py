"""The inbox as a part of the Celery worker: notice files, wait until they are complete, claim them, ring intake.

Started in workers that consume the intake queue. Kernel events (or polling) only make it quick: the inbox is also
listed at start and every `TRIAGE_RESCAN_SECONDS`, since inotify drops events when its queue overflows and does not
tell of files inside a folder that was moved in.
"""

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import bootsteps
from sqlalchemy.exc import OperationalError

from worker import inbox_files
from worker.empty_folders import EmptyFolders
from worker.errors import io_error_name
from worker.folders import make_inbox
from worker.inbox_elsewhere import mend_claim
from worker.inbox_walk import MOST_LEVELS, is_too_deep
from worker.inbox_watch import Heard, InboxWatch
from worker.pipeline import INTAKE, Queue
from worker.services import Services
from worker.stability import Look, StabilityTracker
from worker.store import queries

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.25
CLAIMS_A_LOOK = 500
ADOPT_AFTER_SECONDS = 10.0
"""A claimed folder without a row is left alone this long: its claimer is probably writing the row."""


class Inbox:
    """Everything the bootstep does, apart from Celery."""

    def __init__(self, services: Services, ring_intake: Callable[[], None]) -> None:
        self._services = services
        self._ring_intake = ring_intake
        self._folder = services.settings.inbox
        self._claimed = services.settings.claimed
        self._watch = InboxWatch(services.settings)
        self._tracker = StabilityTracker(services.settings.settle_seconds)
        self._next_listing = 0.0
        self._next_mending = 0.0
        self._had_room = True
        self._empty_folders = EmptyFolders()
        self._too_deep = 0

    def open(self) -> None:
        """Start listening."""
        self._watch.open()

    def close(self) -> None:
        """Stop listening; files not claimed yet stay in the inbox for the next start."""
        self._watch.close()

    def look(self) -> None:
        """One round; what the disk or the database refuses now is tried again in the next ones."""
        try:
            with self._services.parent_work:
                self._round()
        except OperationalError as error:
            logger.warning("inbox: the database does not answer (%s)", type(error.orig).__name__)
        except OSError as error:
            # without its text, which would name a file
            logger.warning("inbox: %s", io_error_name(error))

    def _round(self) -> None:
        """Hear events, list when it is time, claim what is settled, adopt what a crash left behind."""
        now = time.monotonic()
        if now >= self._next_mending and (self._watch.is_lost() or not self._folder.is_dir()):
            self._next_mending = now + self._services.settings.rescan_seconds
            self._mend()
            self._next_listing = now
        self._hear()
        if now >= self._next_listing:
            self._next_listing = now + self._services.settings.rescan_seconds
            try:
                self._list()
            finally:  # whatever is wrong with the inbox, scans claimed before go on
                self._adopt()
        settled = self._settled(now)
        if settled and self._has_room():
            settled.sort(key=self._rank)
            self._claim(settled)

    def _mend(self) -> None:
        """The inbox was removed or replaced, or the watch on it has ended: make it and watch it anew."""
        logger.warning(
            "inbox: %s",
            "its watch has ended, opened anew" if self._folder.is_dir() else "the folder is gone, made anew",
        )
        make_inbox(self._services.settings)
        # always: a folder made anew may have the inode of the one that is gone
        self._watch.close()
        self._watch.open()

    def _list(self) -> None:
        looked_into = list(inbox_files.folders(self._folder))
        self._tracker.noticed(inbox_files.files_in(looked_into))
        found = inbox_files.folders_with_files(self._folder, looked_into)
        inbox_files.remove_folders(self._empty_folders.look(found, time.monotonic()))
        too_deep = inbox_files.folders_too_deep(looked_into)
        if too_deep > self._too_deep:
            logger.warning("inbox: folders below %d levels, or of too long a path, are left: %d", MOST_LEVELS, too_deep)
        self._too_deep = too_deep

    def _hear(self) -> None:
        new_folders = set()
        for _ in range(self._watch.heard.qsize()):
            path, heard = self._watch.heard.get_nowait()
            if not path.is_relative_to(self._folder):
                continue
            relative = path.relative_to(self._folder)
            folder = relative if heard is Heard.FOLDER else relative.parent
            if is_too_deep(self._folder / folder, len(folder.parts)) or inbox_files.is_ignored(relative):
                continue
            if heard is Heard.FOLDER:
                new_folders.add(path)
            elif heard is Heard.COMPLETE:
                self._tracker.closed(path)
            else:
                self._tracker.written(path)
        for folder in new_folders:
            if not folder.is_symlink():
                self._tracker.noticed(inbox_files.list_inbox(folder, len(folder.relative_to(self._folder).parts)))

    def _settled(self, now: float) -> list[Path]:
        settled = []
        for path in self._tracker.paths:
            try:
                status = path.lstat()
            except OSError:
                self._tracker.forget(path)
                continue
            if not inbox_files.is_takeable(status):
                self._tracker.forget(path)
            elif self._tracker.look(path, Look(status.st_size, status.st_mtime_ns), now):
                settled.append(path)
        return settled

    def _rank(self, path: Path) -> int:
        return inbox_files.rank_of(str(path)[len(str(self._folder)) + 1 :])

    def _has_room(self) -> bool:
        has_room = self._services.has_room()
        if has_room != self._had_room:
            logger.warning("inbox: %s", "going on" if has_room else "stopped, the disk of TRIAGE_HOME is nearly full")
        self._had_room = has_room
        return has_room

    def _claim(self, paths: list[Path]) -> None:
        claims: list[str] = []
        for path in paths:
            if len(claims) == CLAIMS_A_LOOK:
                break
            if inbox_files.is_being_written(path):  # asked of each just before it is taken
                continue
            self._tracker.forget(path)
            try:
                claim_id = inbox_files.claim(self._folder, self._claimed, path)
            except OSError as error:
                # without the name, which is patient data; the next listing tries again
                logger.warning("a file in the inbox cannot be taken: %s", io_error_name(error))
                continue
            if claim_id is not None:
                claims.append(claim_id)
        self._register(claims)

    def _register(self, claim_ids: list[str]) -> None:
        names = {}
        for claim_id in claim_ids:
            try:
                path = inbox_files.claimed_file(self._claimed, claim_id)
            except OSError as error:
                logger.warning("inbox: a claim is left for later: %s", io_error_name(error))
                continue
            if path is not None:
                names[claim_id] = inbox_files.original_name(self._claimed, claim_id, path)
        now = self._services.now()
        with self._services.session.begin() as session:
            for claim_id, name in names.items():
                queries.add_file(session, claim_id, name, inbox_files.rank_of(name), now)
        if claim_ids:
            self._ring_intake()

    def _adopt(self) -> None:
        """Register claims that a killed worker renamed but did not get to write down."""
        if not self._claimed.is_dir():
            return
        names = inbox_files.claims_not_of_now(self._claimed, time.time(), ADOPT_AFTER_SECONDS)
        for start in range(0, len(names), CLAIMS_A_LOOK):
            chunk = names[start : start + CLAIMS_A_LOOK]
            with self._services.session.begin() as session:
                known = queries.known_claims(session, chunk)
                finished = queries.finished_claims(session, chunk)
            for claim_id in finished:
                inbox_files.forget_claim(self._claimed, claim_id)
            unknown = [claim_id for claim_id in chunk if claim_id not in known]
            self._register([claim_id for claim_id in unknown if self._is_left_whole(claim_id)])

    def _is_left_whole(self, claim_id: str) -> bool:
        """Is there a file in this claim of a killed worker, and is it more than half a copy?"""
        if inbox_files.drop_empty_claim(self._claimed, claim_id):
            return False
        try:
            return mend_claim(self._folder, self._claimed / claim_id)
        except OSError as error:
            logger.warning("inbox: a claim is left for later: %s", io_error_name(error))
            return False


class InboxStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery is untyped
    """Bootstep: the inbox runs in the worker's parent process, on the worker's own timer."""

    requires = frozenset({"celery.worker.components:Timer", "celery.worker.components:Pool"})

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.inbox: Inbox | None = None

    def include_if(self, parent: Any) -> bool:
        """Only in workers that consume the intake queue."""
        return Queue.INTAKE in parent.app.amqp.queues.consume_from

    def start(self, parent: Any) -> None:
        """Open the inbox and look at it regularly."""
        app = parent.app
        app.services.parent_work.make_forks_wait()
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # see is_being_written
        self.inbox = Inbox(app.services, lambda: app.ring(INTAKE))
        self.inbox.open()
        parent.timer.call_repeatedly(LOOK_EVERY_SECONDS, self.inbox.look)

    def stop(self, parent: Any) -> None:  # noqa: ARG002  celery hands it over
        """Close it."""
        if self.inbox is not None:
            self.inbox.close()
            self.inbox = None
