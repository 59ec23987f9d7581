"""When a file counts as complete; the clock is an argument."""

from pathlib import Path

import pytest

from worker.stability import EMPTY_SECONDS, LONGER_WITHOUT_CLOSE, Look, StabilityTracker

FILE = Path("scan.dcm")
SETTLE = 1.0
SAME = Look(100, 7)


@pytest.fixture
def tracker() -> StabilityTracker:
    return StabilityTracker(SETTLE)


def first_settled(tracker: StabilityTracker, look: Look, start: float, every: float = 0.25) -> float:
    """Seconds from `start` until a file that no longer changes is settled."""
    looks = (start + number * every for number in range(1000))
    return next(now for now in looks if tracker.look(FILE, look, now)) - start


def test_a_closed_file_settles_after_the_settle_time(tracker: StabilityTracker) -> None:
    tracker.closed(FILE)
    assert first_settled(tracker, SAME, start=50.0) == SETTLE


def test_a_file_that_was_only_listed_must_stand_still_longer(tracker: StabilityTracker) -> None:
    tracker.noticed([FILE])
    assert first_settled(tracker, SAME, start=50.0) == SETTLE * LONGER_WITHOUT_CLOSE


def test_an_empty_file_is_probably_about_to_be_filled(tracker: StabilityTracker) -> None:
    tracker.closed(FILE)
    assert first_settled(tracker, Look(0, 7), start=50.0) == EMPTY_SECONDS
    tracker.closed(FILE)
    assert first_settled(tracker, SAME, start=100.0) == SETTLE


def test_never_at_the_first_look_however_late(tracker: StabilityTracker) -> None:
    tracker.closed(FILE)
    assert not tracker.look(FILE, SAME, 1e6)


@pytest.mark.parametrize("changed", [Look(101, 7), Look(100, 8), Look(99, 7)], ids=["grew", "touched", "shrank"])
def test_any_change_starts_again(tracker: StabilityTracker, changed: Look) -> None:
    tracker.closed(FILE)
    assert not tracker.look(FILE, SAME, 0.0)
    assert not tracker.look(FILE, changed, 0.9)
    assert not tracker.look(FILE, changed, 1.1)
    assert tracker.look(FILE, changed, 2.0)


def test_a_slow_writer_that_pauses_is_not_taken(tracker: StabilityTracker) -> None:
    tracker.noticed([FILE])
    size = 0
    for tenth in range(400):  # 40 s, a chunk every 2 s, twice the settle time
        size += 1000 if tenth % 20 == 0 else 0
        assert not tracker.look(FILE, Look(size, size), tenth / 10), tenth
    assert first_settled(tracker, Look(size, size), start=40.0) <= SETTLE * LONGER_WITHOUT_CLOSE


def test_a_file_noticed_again_keeps_its_close(tracker: StabilityTracker) -> None:
    tracker.closed(FILE)
    tracker.noticed([FILE])
    assert first_settled(tracker, SAME, start=0.0) == SETTLE


def test_closing_counts_from_when_the_file_stood_still(tracker: StabilityTracker) -> None:
    tracker.noticed([FILE])
    assert not tracker.look(FILE, SAME, 0.0)
    assert not tracker.look(FILE, SAME, 1.5)
    tracker.closed(FILE)
    assert tracker.look(FILE, SAME, 1.75)


def test_a_file_opened_again_after_its_close_must_stand_still_longer(tracker: StabilityTracker) -> None:
    tracker.closed(FILE)
    tracker.written(FILE)
    assert first_settled(tracker, SAME, start=50.0) == SETTLE * LONGER_WITHOUT_CLOSE


def test_follows_each_file_on_its_own_and_forgets(tracker: StabilityTracker) -> None:
    other = Path("other.dcm")
    tracker.noticed([FILE, other])
    assert (set(tracker.paths), len(tracker)) == ({FILE, other}, 2)
    tracker.closed(FILE)
    tracker.look(FILE, SAME, 0.0)
    tracker.look(other, SAME, 0.0)
    assert [tracker.look(path, SAME, 1.0) for path in (FILE, other)] == [True, False]
    tracker.forget(FILE)
    tracker.forget(FILE)
    assert tracker.paths == (other,)
