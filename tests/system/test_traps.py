"""Known traps of the stack: consumers that stop, forks of a process with threads, memory (docs/reliability.md)."""

import os
import signal
from pathlib import Path

import pytest
from celery import Celery

from tests.system.deployment import Deployment, wait_until
from tests.system.outcomes import assert_reported_once
from tests.worker.scans import png
from worker.pipeline import Queue
from worker.store.models import Result

COUNT = 12


def drop(deployment: Deployment, count: int) -> None:
    for number in range(count):
        deployment.drop(f"{number}.png", png(number))


@pytest.mark.long
def test_a_worker_that_consumes_no_more_is_unhealthy_though_it_answers(scaled_out: Deployment) -> None:
    scaled_out.environment["TRIAGE_LEASE_SECONDS"] = "2"
    worker = scaled_out.start()
    with Celery(broker=scaled_out.settings.resolved_broker_url) as client:
        for queue in Queue:
            client.control.cancel_consumer(queue.value, reply=True, limit=1)
        drop(scaled_out, COUNT)
        wait_until(lambda: scaled_out.ask("health").returncode == 1, 60, "bad health", scaled_out.logs)
        assert "Work for 'intake' has been due" in scaled_out.ask("health").stderr
        assert [list(answer.values()) for answer in client.control.ping(limit=1)] == [[{"ok": "pong"}]]
        assert scaled_out.reports() == []
        for queue in Queue:
            client.control.add_consumer(queue.value, reply=True, limit=1)
    scaled_out.wait_until_done(COUNT)
    assert scaled_out.ask("health").returncode == 0
    assert_reported_once(scaled_out, COUNT)
    assert worker.stop() == 0


@pytest.mark.long
def test_a_child_forked_while_the_parent_has_threads_reads_with_torch(embedded: Deployment) -> None:
    embedded.environment |= {"TRIAGE_ENGINE": "torch", "TRIAGE_THREADS": "2"}
    worker = embedded.start()
    parent, first = Path(f"/proc/{worker.process.pid}"), worker.children
    assert len(list((parent / "task").iterdir())) > 1
    for child in first:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(set(worker.children) - set(first)) == len(first), 60, "new children", embedded.logs)
    drop(embedded, 4)
    embedded.wait_until_done(4)
    assert_reported_once(embedded, 4)
    with embedded.sessions.begin() as session:
        assert {result.engine for result in session.query(Result)} == {"torch"}
    assert not {"libtorch", "libopenvino"} & {Path(name).name.partition(".")[0] for name in mapped_files(parent)}
    assert worker.stop() == 0


def mapped_files(process: Path) -> set[str]:
    return {line.split()[-1] for line in (process / "maps").read_text().splitlines()}


def test_a_child_above_its_memory_is_replaced_between_tasks(deployment: Deployment) -> None:
    deployment.environment |= {
        "TRIAGE_ENGINE": "openvino-int8",
        "TRIAGE_CLAIM_SIZE": "4",
        # above that of a child that has only read files, below that of one with the network loaded
        "TRIAGE_MAX_MEMORY_PER_CHILD_KB": "200000",
    }
    worker = deployment.start()
    first = worker.children
    drop(deployment, COUNT)
    deployment.wait_until_done(COUNT)
    wait_until(lambda: bool(set(worker.children) - set(first)), 30, "a new child", deployment.logs)
    assert "exited with" not in deployment.logs()
    assert_reported_once(deployment, COUNT)
    assert worker.stop() == 0
