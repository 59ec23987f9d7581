"""Foreign text becomes one bounded, printable line."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.text import clean


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Doe^Jane", "Doe^Jane"),
        ("  a \t\n b\x00c\x1b[31m ", "a b c [31m"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("\u2066x\u2069\u200f\u061cy", "xy"),
        ("e\u0301", "é"),
        ("\ud800x", "\ufffdx"),
        ("a\u2028b\u3000c", "a b c"),
        ("عل\u200cی", "عل\u200cی"),
        ("soft\u00adhyphen\ufeff", "softhyphen"),
        ("❤\ufe0f", "❤"),
        ("", ""),
    ],
)
def test_each_kind_of_character(raw: str, expected: str) -> None:
    assert clean(raw, 100) == expected


def test_markup_stays_as_it_is() -> None:
    text = '<b>x</b></para><img src="/etc/passwd">&#0;'
    assert clean(text, 100) == text


@pytest.mark.parametrize("text", ["x" * 65_536, "word " * 60_000, "é" * 65_536, "\x00" * 65_536 + "tail"])
def test_long_text_is_cut_with_an_ellipsis(text: str) -> None:
    short = clean(text, 40)
    assert len(short) <= 40
    assert short.endswith("…")


def test_what_just_fits_is_not_cut() -> None:
    assert clean("x" * 40, 40) == "x" * 40
    assert clean("é" * 40, 40) == "é" * 40


def test_a_tower_of_accents_is_cut_to_four() -> None:
    assert clean("x" + "\u0331" * 50 + "y", 100) == "x" + "\u0331" * 4 + "y"


def test_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        clean("x", 0)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.integers(1, 60))
def test_always_bounded_and_printable(text: str, limit: int) -> None:
    line = clean(text, limit)
    assert len(line) <= limit
    assert line == line.strip()
    forbidden = {"Cc", "Cs", "Zl", "Zp"}
    assert not [char for char in line if unicodedata.category(char) in forbidden]
    assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    line.encode("utf-8")
