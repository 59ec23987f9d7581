"""Guards around every test, and real servers for those that ask for them."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from tests.servers import PostgresServer, postgres_server, redis_server

THREADS_MAY_END_SECONDS = 5.0
LASTING_THREADS = frozenset({"TMonitor", "tqdm_monitor"})
"""tqdm starts one at its first bar and keeps it."""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("TRIAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    """A test that leaves a thread behind fails: the next one would meet it."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + THREADS_MAY_END_SECONDS
    for thread in _started_since(before):
        thread.join(max(0.0, end - time.monotonic()))
    left = _started_since(before)
    assert not left, f"threads left running: {left}"


def _started_since(before: set[threading.Thread]) -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.name not in LASTING_THREADS and type(thread).__name__ not in LASTING_THREADS
    ]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One Redis for the whole run."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One Postgres for the whole run; every user makes a database of its own."""
    with postgres_server() as server:
        yield server
