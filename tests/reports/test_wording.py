"""Words and numbers."""

from datetime import datetime, timedelta, timezone

import pytest

from reports.content import Priority
from reports.wording import PRIORITY_SENTENCES, duration, percent, plain_reason, utc


@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (0.973, "97.3 %"),
        (1.0, "100.0 %"),
        (0.99999, "> 99.9 %"),
        (0.9994, "99.9 %"),
        (0.0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.0005, "0.1 %"),
    ],
)
def test_percent(fraction: float, words: str) -> None:
    assert percent(fraction) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (-5, "0 s"), (75, "1 min 15 s"), (4800, "1 h 20 min"), (200_000, "2 d 7 h")],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_times_are_utc() -> None:
    assert utc(datetime(2026, 11, 23, 1, 0, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-22 23:00:00 UTC"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        utc(datetime(2026, 11, 23))  # noqa: DTZ001


def test_slugs_become_sentences_and_sentences_stay() -> None:
    assert plain_reason("low_margin") == "The two most likely classes are too close together to call."
    assert plain_reason("The scan is upside down.") == "The scan is upside down."
    assert len(plain_reason("x" * 5000)) == 300


def test_every_priority_has_its_sentence() -> None:
    assert set(PRIORITY_SENTENCES) == set(Priority)
