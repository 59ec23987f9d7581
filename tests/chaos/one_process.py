"""The whole way of a scan in one process, and a fuse that ends it at one exact moment, as kill -9 would.

A moment is just before something becomes lasting: a commit that writes, or a change of a folder or a file. What was
done before a moment is on disk, what comes after it is not, so going through all moments goes through every state in
which a killed worker can leave database, store, inbox and outbox.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import Engine, event

from tests.system.deployment import Deployment
from tests.worker.scans import FakePredictor
from trainer.runtime.bundle import ModelBundle
from worker import inbox as inbox_module
from worker.inbox import Inbox
from worker.pipeline import STAGES
from worker.services import Services
from worker.settings import Settings
from worker.stage_runner import run_stage
from worker.steps import worklist
from worker.store import claims

CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"})
WRITING = os.O_WRONLY | os.O_RDWR
STATEMENTS = ("INSERT", "UPDATE", "DELETE")


class Fuse:
    """Counts moments in this process from now on, and kills it at the `burning`th; without a number it only counts."""

    def __init__(self, home: Path, burning: int | None = None) -> None:
        self.count = 0
        self._home = str(home)
        self._burning = burning
        sys.addaudithook(self._hear)  # cannot be taken back: for processes that end soon
        event.listen(Engine, "before_cursor_execute", self._write)
        event.listen(Engine, "commit", self._commit)

    def _moment(self) -> None:
        self.count += 1
        if self.count == self._burning:
            os.kill(os.getpid(), signal.SIGKILL)

    def _hear(self, name: str, arguments: tuple[Any, ...]) -> None:
        changes = name in CHANGES or (name == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING)
        if changes and any(self._is_ours(argument) for argument in arguments):
            self._moment()

    def _is_ours(self, argument: object) -> bool:
        """Within the home; `shutil.rmtree` names what it removes without a folder."""
        return isinstance(argument, str | os.PathLike) and (
            str(argument).startswith(self._home) or not Path(argument).is_absolute()
        )

    @staticmethod
    def _write(connection: Any, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith(STATEMENTS):
            connection.info["writes"] = True

    def _commit(self, connection: Any) -> None:
        if connection.info.pop("writes", False):
            self._moment()


def work_until(is_done: Callable[[], bool], settings: Settings, seconds: float = 60.0) -> None:
    """Watch the inbox and take everything through all stages, until `is_done`.

    Raises:
        TimeoutError: after so many seconds it is not.
    """
    services = Services(settings)
    services.__dict__["predictor"] = FakePredictor()
    services.__dict__["bundle"] = ModelBundle.load(settings.model_folder)
    inbox = Inbox(services, lambda: None)
    end = time.monotonic() + seconds
    with _short_delays():
        while not is_done():
            if time.monotonic() > end:
                raise TimeoutError("not done")
            inbox.look()
            for stage in STAGES.values():
                run_stage(stage, services, lambda _: None)


@contextmanager
def _short_delays() -> Iterator[None]:
    with (
        mock.patch.object(inbox_module, "ADOPT_AFTER_SECONDS", 0.0),
        mock.patch.object(claims, "RETRY_DELAY_SECONDS", 0.05),
        mock.patch.object(worklist, "PAUSE", timedelta(seconds=0.02)),
    ):
        yield


def in_a_process(work: Callable[..., None], *arguments: object) -> int:
    """Run `work` in a process forked from one without threads; its exit status, negative for a signal."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def work_with_a_fuse(deployment: Deployment, files: int, counted: Path, burning: int | None) -> None:
    """Work until so many rows are done, unless the fuse burns first; then write down how many moments there were."""
    fuse = Fuse(deployment.home, burning)
    work_until(lambda: deployment.is_done(files), deployment.settings)
    counted.write_text(str(fuse.count))
