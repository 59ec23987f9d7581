"""One file that crashes, starves or holds up whoever reads it, amid good ones of the same claim: it costs itself."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.system.deployment import Deployment, wait_until
from tests.system.outcomes import assert_given_up, assert_reported_once
from tests.system.pauses import MOST_PAUSE_SECONDS, longest_pause
from tests.system.poisoned import Poison
from tests.worker.scans import png
from worker.cli.verification import verify
from worker.errors import Reason
from worker.store.models import Event, FileState, ScanFile

RECORD = "POISON_RECORD"
"""Names a file for the figures of docs/limits.md (`make hostile`)."""
CLAIM = 64
ATTEMPTS = 2
LONGER_THAN_THE_TEST = 3600
GOOD_ONES_SECONDS = 120.0
DEADLY = frozenset({Poison.CRASH, Poison.LOOP_IN_C})
"""These cost a process each time; the others are stopped inside of it."""


@pytest.fixture
def poisoned(deployment: Deployment) -> Deployment:
    deployment.environment |= {
        "TRIAGE_ENGINE": "openvino-int8",
        "TRIAGE_CLAIM_SIZE": str(CLAIM),
        "TRIAGE_MAX_ATTEMPTS": str(ATTEMPTS),
        "TRIAGE_MAX_FILE_SECONDS": "1",
        "TRIAGE_MAX_FILE_MEMORY_KB": "300000",
        "TRIAGE_LEASE_SECONDS": "2",
    }
    return deployment


def test_the_rest_of_a_claim_does_not_wait_for_the_lease_of_who_killed_the_process(poisoned: Deployment) -> None:
    poisoned.environment["TRIAGE_LEASE_SECONDS"] = str(LONGER_THAN_THE_TEST)
    poisoned.drop("a bad one.png", png(1000) + Poison.CRASH.mark)
    for number in range(CLAIM - 1):
        poisoned.drop(f"good {number:02}.png", png(number))
    poisoned.start(application="tests.system.poisoned")
    wait_until(lambda: len(poisoned.reports()) == CLAIM - 1, GOOD_ONES_SECONDS, "all good ones", poisoned.logs)
    assert poisoned.counts()[0] == {FileState.READ: CLAIM - 1, FileState.CLAIMED: 1}


@pytest.mark.long
@pytest.mark.parametrize("poison", Poison)
def test_the_others_do_not_wait_long_with_the_settings_that_are_shipped(embedded: Deployment, poison: Poison) -> None:
    embedded.environment["TRIAGE_ENGINE"] = "openvino-int8"
    embedded.drop("a bad one.png", png(1000) + poison.mark)
    for number in range(CLAIM - 1):
        embedded.drop(f"good {number:02}.png", png(number))
    embedded.start(application="tests.system.poisoned")
    wait_until(lambda: len(embedded.reports()) == CLAIM - 1, GOOD_ONES_SECONDS, "all good ones", embedded.logs)
    pause = longest_pause(embedded)
    assert pause < MOST_PAUSE_SECONDS
    if RECORD in os.environ:
        path = Path(os.environ[RECORD])
        pauses = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(pauses | {poison.value: pause}, indent=2) + "\n")


@pytest.mark.parametrize(
    "poisons",
    [tuple(Poison), *(pytest.param((poison,), marks=pytest.mark.long) for poison in Poison)],
    ids=" ".join,
)
def test_poison_costs_itself_alone(poisoned: Deployment, poisons: tuple[Poison, ...]) -> None:
    good = {f"good {number:02}.png": png(number) for number in range(CLAIM - len(poisons))}
    bad = {f"bad {poison}.png": png(1000 + number) + poison.mark for number, poison in enumerate(poisons)}
    half = len(good) // 2
    for name, content in [*list(good.items())[:half], *bad.items(), *list(good.items())[half:]]:
        poisoned.drop(name, content)
    worker = poisoned.start(application="tests.system.poisoned")
    poisoned.wait_until_done(CLAIM)
    assert len(poisoned.reports()) == len(good)
    with poisoned.sessions.begin() as session:
        rows = {row.original_name: row for row in session.query(ScanFile)}
        events = Counter(session.query(Event.kind, Event.file_id).all())
    assert {name for name, row in rows.items() if row.state == FileState.READ} == good.keys()
    for name, content in bad.items():
        row = rows[name]
        assert (row.state, row.reason) == (FileState.REJECTED, Reason.TIMEOUT)
        assert f"{ATTEMPTS} attempts" in (row.message or "")
        assert events["given_up", row.id] == 1
        kept = [path.read_bytes() for path in (poisoned.settings.outbox / "rejected").rglob("*.png")]
        assert content in kept
    assert sum(count for (kind, _), count in events.items() if kind == "given_up") == len(bad)
    died = poisoned.logs().count("exited with")
    assert died == ATTEMPTS * len(DEADLY.intersection(poisons)), poisoned.logs()
    assert verify(poisoned.settings).findings == ()
    assert worker.stop() == 0


@pytest.mark.parametrize(
    "poison",
    [Poison.CRASH, *(pytest.param(poison, marks=pytest.mark.long) for poison in (Poison.LOOP, Poison.LOOP_IN_C))],
)
def test_poison_of_the_analysis_costs_its_study_alone(poisoned: Deployment, poison: Poison) -> None:
    """Nothing but the task's time limit ends a loop there."""
    bad, good = "a bad one.png", 15
    poisoned.environment |= {"TRIAGE_MAX_FILE_BYTES": "100000", "TRIAGE_TASK_TIME_LIMIT_SECONDS": "8"}
    for number in range(good):
        poisoned.drop(f"good {number:02}.png", png(number))
        if number == good // 2:
            poisoned.drop(bad, png(1000) + poison.mark_for_analysis)
    worker = poisoned.start(application="tests.system.poisoned")
    poisoned.wait_until_done(good + 1)
    assert_given_up(poisoned, bad, ATTEMPTS)
    assert_reported_once(poisoned, good, but=bad)
    deaths = poisoned.logs().count("exited with" if poison is Poison.CRASH else "Hard time limit")
    # the first may be in a claim with others, the rest are alone
    assert deaths >= ATTEMPTS, poisoned.logs()
    assert worker.stop() == 0
