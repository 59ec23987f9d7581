"""A pool of child processes that outlives the death of any of them: for the embedded broker.

On a broker without an event loop billiard's children share one pipe of jobs, and the idle one holds its lock while it
waits. That lock is a semaphore, which nobody gives back when its holder is killed (kill -9, the OOM killer): all other
children, and those that replace them, would wait for ever. The kernel releases a file lock with the process.

A child that is killed after it took a job from that pipe, and before it said so, takes it along: to billiard the job
waits for ever. Celery fetches only as many messages as there are children, so each such loss would stop one of them. So
would a job whose child said so, and was killed and replaced before anybody heard it.
"""

import fcntl
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from billiard.pool import Pool
from celery.concurrency.prefork import TaskPool

from worker.child_pipes import packet_pipe

ANSWER_SECONDS = 5.0


class ProcessLock:
    """A lock between a process and its forks that is free again when the holder dies.

    A record lock belongs to one process and is not inherited by a fork, so it does not tell threads apart: each end of
    billiard's pipes is used by one thread of a process.
    """

    def __init__(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="triage-lock-")
        Path(name).unlink()  # it needs no name, and so goes with the last process

    def acquire(self) -> bool:
        """Wait for the lock; always true, as the semaphore's method is."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let the next one in."""
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class LastingPool(Pool):  # type: ignore[misc]  # billiard is untyped
    """Billiard's pool with pipes guarded by such locks, and without jobs that wait for ever."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._unanswered: dict[int, float] = {}
        super().__init__(*arguments, **options)

    def _join_exited_workers(self, *, shutdown: bool = False) -> Any:
        exited = super()._join_exited_workers(shutdown)
        self._give_up_what_a_child_took_along()
        self._notice_who_is_gone()
        return exited

    def _give_up_what_a_child_took_along(self) -> None:
        """A job that is no longer in the pipe is answered by whoever took it, within milliseconds, or by nobody."""
        if self._outqueue._reader.poll(0):  # noqa: SLF001  somebody's answer waits to be heard
            return
        now = time.monotonic()
        in_the_pipe = self._inqueue._reader.poll(0) or not self._taskqueue.empty()  # noqa: SLF001
        waiting = {} if in_the_pipe else {job._job: job for job in list(self._cache.values()) if not job._accepted}  # noqa: SLF001
        self._unanswered = {number: self._unanswered.get(number, now) for number in waiting}
        for number, since in self._unanswered.items():
            if now - since > ANSWER_SECONDS:
                job = waiting[number]
                job._ack(None, now, None, None)  # noqa: SLF001  so that Celery lets go of the message
                self.mark_as_worker_lost(job, None)

    def _notice_who_is_gone(self) -> None:
        """Billiard looks for the jobs of a child only once, when it finds it dead; its last words may come later."""
        children = {child.pid for child in self._pool}
        for job in list(self._cache.values()):
            gone = [child for child in job.worker_pids() if child not in children]
            if gone and not job.ready():
                self.on_job_process_lost(job, gone[0], None)

    def on_job_process_lost(self, job: Any, pid: int, exitcode: int | None) -> None:
        """Billiard would wait for its last words anew whenever another child dies."""
        if job._worker_lost is None:  # noqa: SLF001
            super().on_job_process_lost(job, pid, exitcode)

    def _setup_queues(self) -> None:
        super()._setup_queues()
        for pipe in (self._inqueue, self._outqueue):  # billiard has no other way
            pipe._reader.close()  # noqa: SLF001
            pipe._writer.close()  # noqa: SLF001
            pipe._reader, pipe._writer = packet_pipe()  # noqa: SLF001
            pipe._rlock, pipe._wlock = ProcessLock(), ProcessLock()  # noqa: SLF001
        self._quick_put, self._quick_get = self._inqueue._writer.send, self._outqueue._reader.recv  # noqa: SLF001


class LastingTaskPool(TaskPool):  # type: ignore[misc]  # celery is untyped
    """Celery's prefork pool on it; `worker_pool` names it."""

    BlockingPool = LastingPool
