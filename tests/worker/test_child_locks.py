"""Locks between the processes of a pool: one at a time, and free again when their holder is killed."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from billiard.einfo import ExceptionWithTraceback

from worker import child_locks
from worker.app import build_app
from worker.child_locks import LastingPool, ProcessLock
from worker.settings import Settings


def forked(work: Callable[[], object]) -> int:
    """A process that does this and then sleeps until it is killed."""
    child = os.fork()
    if child == 0:
        work()
        signal.pause()
        os._exit(0)
    return child


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_lock_is_free_again_when_its_holder_is_killed() -> None:
    lock = ProcessLock()
    reader, writer = os.pipe()
    holder = forked(lambda: (lock.acquire(), os.write(writer, b"held")))
    assert os.read(reader, 4) == b"held"
    waiter = forked(lambda: (lock.acquire(), os.write(writer, b"mine")))
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 4)
    os.set_blocking(reader, True)
    end(holder)
    assert os.read(reader, 4) == b"mine"
    end(waiter)
    os.close(reader)
    os.close(writer)


def test_a_lock_that_is_given_back_can_be_taken() -> None:
    lock = ProcessLock()
    reader, writer = os.pipe()
    with lock:
        waiter = forked(lambda: (lock.acquire(), os.write(writer, b"mine")))
    assert os.read(reader, 4) == b"mine"
    end(waiter)
    os.close(reader)
    os.close(writer)


def test_only_the_embedded_broker_needs_that_pool(settings: Settings) -> None:
    with build_app(settings) as app:
        assert app.conf.worker_pool == "worker.child_locks:LastingTaskPool"
    with build_app(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})) as app:
        assert app.conf.worker_pool == "prefork"


def test_all_four_locks_of_the_pool_are_such_locks() -> None:
    pool = LastingPool(processes=1, threads=False)
    try:
        pipes = (pool._inqueue, pool._outqueue)
        assert all(isinstance(lock, ProcessLock) for pipe in pipes for lock in (pipe._rlock, pipe._wlock))
    finally:
        pool.terminate()


def test_a_job_that_a_killed_child_took_along_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_locks, "ANSWER_SECONDS", 0.5)
    pool = LastingPool(processes=1)
    try:
        (child,) = pool._pool
        os.kill(child.pid, signal.SIGSTOP)
        accepted: list[int | None] = []
        job = pool.apply_async(os.getpid, accept_callback=lambda pid, _time: accepted.append(pid))
        time.sleep(2)
        assert not job.ready(), "it is still in the pipe, and some child will take it"
        pool._inqueue._reader.recv()  # what a child does just before it is killed
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(ExceptionWithTraceback, match="WorkerLostError"):
            job.get(timeout=20)
        assert accepted == [None]
        assert pool.apply_async(os.getpid).get(timeout=20) != child.pid
    finally:
        pool.terminate()
