"""Locks between the processes of a pool: one at a time, and free again when their holder is killed."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from billiard.einfo import ExceptionWithTraceback

from worker import child_locks
from worker.app import build_app
from worker.child_locks import LastingPool, ProcessLock
from worker.child_pipes import packet_pipe
from worker.settings import Settings


def forked(work: Callable[[], object]) -> int:
    """A process that does this and then sleeps until it is killed."""
    child = os.fork()
    if child == 0:
        work()
        signal.pause()
        os._exit(0)
    return child


def freeze(child: int) -> None:
    """Stop a process, and wait until it stands still: until then it may still take a message."""
    os.kill(child, signal.SIGSTOP)
    while Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


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
    pool = LastingPool(processes=1)
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
        freeze(child.pid)
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


def test_a_job_whose_child_was_gone_before_it_was_heard_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_locks, "ANSWER_SECONDS", 60.0)
    pool = LastingPool(processes=1, lost_worker_timeout=0.5)
    try:
        (child,) = pool._pool
        freeze(child.pid)
        job = pool.apply_async(os.getpid)
        pool._inqueue._reader.recv()
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert pool.apply_async(os.getpid).get(timeout=20) != child.pid
        job._ack(None, time.monotonic(), child.pid, None)  # what it said, heard after it was replaced
        with pytest.raises(ExceptionWithTraceback, match="WorkerLostError"):
            job.get(timeout=20)
    finally:
        pool.terminate()


def test_further_deaths_do_not_put_off_the_end_of_a_lost_job() -> None:
    pool = LastingPool(processes=1)
    try:
        job = pool.apply_async(time.sleep, (60,))
        pool.on_job_process_lost(job, 1, 9)
        first = job._worker_lost
        pool.on_job_process_lost(job, 2, 9)
        assert job._worker_lost == first
    finally:
        pool.terminate()


@pytest.mark.skipif(sys.platform != "linux", reason="there are no such packets elsewhere")
def test_a_child_that_is_killed_in_the_middle_of_a_message_spoils_no_other() -> None:
    reader, writer = packet_pipe()
    told, tell = os.pipe()
    writer.send("the first")
    killed = forked(lambda: (os.read(reader.fileno(), 4), os.write(tell, b"read")))  # of a stream: a message's length
    assert os.read(told, 4) == b"read"
    end(killed)
    writer.send("the second")
    assert reader.recv() == "the second"
    writer.close()
    with pytest.raises(EOFError):
        reader.recv()
    os.close(told)
    os.close(tell)


@pytest.mark.skipif(sys.platform != "linux", reason="there are no such packets elsewhere")
def test_a_message_that_is_too_long_fails_alone() -> None:
    reader, writer = packet_pipe()
    with pytest.raises(ValueError, match="too long for the pipe of the pool"):
        writer.send(bytes(2**22))
    writer.send(bytes(2**17))
    assert reader.recv() == bytes(2**17)


@pytest.mark.skipif(sys.platform != "linux", reason="there are no such packets elsewhere")
def test_a_job_that_is_too_long_is_given_up_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_locks, "ANSWER_SECONDS", 0.5)
    pool = LastingPool(processes=1)
    try:
        too_long = pool.apply_async(len, (bytes(2**22),))
        assert pool.apply_async(len, (bytes(2**16),)).get(timeout=20) == 2**16
        with pytest.raises(ExceptionWithTraceback, match="WorkerLostError"):
            too_long.get(timeout=20)
    finally:
        pool.terminate()
