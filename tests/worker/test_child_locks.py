"""Locks between the processes of a pool: one at a time, and free again when their holder is killed."""

import os
import signal
from collections.abc import Callable

import pytest

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
