"""Hearing of new files: kernel events or polling, by watchdog, whose threads may die of what lies in the inbox."""

import logging
import os
import queue
import threading
import warnings
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS
from watchdog.utils import BaseThread

from worker.errors import io_error_name
from worker.inbox_walk import scan_for_watchdog
from worker.settings import Settings, WatchMode

logger = logging.getLogger(__name__)


class Heard(Enum):
    """What an event says about a path."""

    WRITTEN = "written"
    COMPLETE = "complete"
    FOLDER = "folder"


MEANING = {
    "created": Heard.WRITTEN,
    "modified": Heard.WRITTEN,
    "closed": Heard.COMPLETE,
    "moved": Heard.COMPLETE,
}
NEW_FOLDER_EVENTS = frozenset({"created", "moved"})
"""A folder is also "modified" by every file in it; listing it each time would cost the square of the files."""


class InboxEvents(FileSystemEventHandler):
    """Watchdog's callbacks, on its own thread: only puts what it hears into a queue."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[tuple[Path, Heard]] = queue.SimpleQueue()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Keep the path that now exists, and what is known of it."""
        path = Path(str(event.dest_path or event.src_path))
        if event.is_directory:
            if event.event_type in NEW_FOLDER_EVENTS:
                self.heard.put((path, Heard.FOLDER))
        elif event.event_type in MEANING:
            self.heard.put((path, MEANING[event.event_type]))


class InboxWatch:
    """The watch on the inbox: opened, found dead, opened anew. Without one the regular listing finds everything."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events = InboxEvents()
        self._observer: BaseObserver | None = None
        self._threads: list[threading.Thread] = []
        self._watched: tuple[int, int] | None = None

    @property
    def heard(self) -> "queue.SimpleQueue[tuple[Path, Heard]]":
        """What was heard and not taken yet."""
        return self._events.heard

    def open(self) -> None:
        """Start listening: to the kernel, else by polling, else not at all."""
        # watchdog warns when it meets a new folder twice, which is harmless, and quotes paths, which are patient data
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        watched = self._inbox_identity()
        if self._settings.watch is WatchMode.INOTIFY and self._listen_with(self._kernel, "no kernel events"):
            self._watched = watched  # the kernel watches this folder, whatever its name becomes; polling the name
            return
        self._listen_with(self._polling, "new files cannot be watched for")

    def _listen_with(self, make: Callable[[], BaseObserver], trouble: str) -> bool:
        """Start such an observer and keep its threads; false, and a line in the log, where that cannot be done."""
        before = set(threading.enumerate())
        observer = None
        try:
            observer = make()
            observer.schedule(self._events, str(self._settings.inbox), recursive=True)
            observer.start()
        except (OSError, RecursionError) as error:
            # the system's inotify limits (fs.inotify.max_user_watches, max_user_instances) are used up, the inbox is
            # gone, or its folders are nested deeper than watchdog can follow
            name = io_error_name(error) if isinstance(error, OSError) else "folders nested too deeply"
            logger.warning("inbox: %s (%s), looking regularly instead", trouble, name)
            if observer is not None:
                observer.stop()
            return False
        self._observer = observer
        self._threads = [each for each in threading.enumerate() if each not in before and isinstance(each, BaseThread)]
        return True

    @staticmethod
    def _kernel() -> BaseObserver:
        return Observer()

    def _polling(self) -> BaseObserver:
        """Lists the inbox regularly; with watchdog's own `os.stat` it would walk into folders that links lead to."""
        settings = self._settings
        scan = scan_for_watchdog(settings.inbox)
        return PollingObserverVFS(os.lstat, scan, polling_interval=settings.settle_seconds)

    def is_lost(self) -> bool:
        """Will nothing be heard any more, though the watch was opened?

        The inbox may have been removed, renamed or mounted over; and threads of watchdog die of errors that they do
        not expect.
        """
        if not all(thread.is_alive() for thread in self._threads):
            return True
        return self._watched is not None and self._watched != self._inbox_identity()

    def _inbox_identity(self) -> tuple[int, int] | None:
        try:
            status = self._settings.inbox.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def close(self) -> None:
        """Stop listening."""
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join()
        self._observer, self._threads, self._watched = None, [], None
