"""Order of right-to-left text on the line, checked against hand-worked lines of UAX #9."""

import pytest

from reports.bidi import DirectionalRun, visual_runs


def visual(text: str) -> str:
    """What stands on the page from left to right, brackets unmirrored."""
    parts = []
    for run in visual_runs(text):
        part = text[run.start : run.stop]
        parts.append(part[::-1] if run.right_to_left else part)
    return "".join(parts)


@pytest.mark.parametrize(
    ("logical", "expected"),
    [
        ("abc 12", "abc 12"),
        ("אבג", "גבא"),
        ("אבג 12", "12 גבא"),
        ("abc אבג def", "abc גבא def"),
        ("אבג abc דהו", "והד abc גבא"),
        ("12.5% אב", "בא 12.5%"),
        ("صفحة ١٢", "١٢ ةحفص"),
        ("ID 77/אב", "ID 77/בא"),
        ("abc אב ", "abc בא "),
    ],
)
def test_order(logical: str, expected: str) -> None:
    assert visual(logical) == expected


def test_text_without_right_to_left_letters_is_one_run() -> None:
    assert visual_runs("Jane (Doe) 12") == [DirectionalRun(0, 13, right_to_left=False)]


def test_empty_text_has_no_run() -> None:
    assert visual_runs("") == []


def test_every_character_is_in_exactly_one_run() -> None:
    text = "a(ב1)٢ -c.ד€ 3:4\u05b0"
    covered = sorted(index for run in visual_runs(text) for index in range(run.start, run.stop))
    assert covered == list(range(len(text)))
