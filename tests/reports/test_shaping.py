"""Glyphs, widths and line breaks."""

import unicodedata

import pytest

from reports.shaping import fit, shape, wrap


def words(lines: list) -> list[str]:
    return ["".join(piece.chars for piece in line.pieces) for line in lines]


def test_arabic_letters_join() -> None:
    (line,) = wrap("محمد", 200, 10)
    printed = "".join(piece.chars for piece in line.pieces)
    assert unicodedata.normalize("NFKC", printed[::-1]) == "محمد"
    assert all(unicodedata.decomposition(char).split()[0] in {"<initial>", "<medial>", "<final>"} for char in printed)


def test_hebrew_is_printed_from_the_right_with_mirrored_brackets() -> None:
    line = shape("אב (גד)")
    assert "".join(piece.chars for piece in line.pieces) == "(דג) בא"
    assert line.actual_text is None


def test_thai_tone_marks_are_lifted_over_vowels() -> None:
    line = shape("ที่")
    assert line.actual_text == "ที่"
    assert line.width == pytest.approx(shape("ท").width)


def test_devanagari_vowel_sign_moves_before_its_letter() -> None:
    line = shape("कि")
    assert "".join(piece.chars for piece in line.pieces)[-1] == "क"
    assert line.actual_text == "कि"


def test_the_width_is_that_of_the_glyphs() -> None:
    assert shape("WW").width == pytest.approx(2 * shape("W").width)
    assert shape("").width == 0
    assert shape("山田").width == pytest.approx(2 * shape("山").width)
    assert shape("Wb", bold=True).width > shape("Wb").width


def test_wrapped_lines_fit_and_lose_no_word() -> None:
    text = "the two parts of the model disagree about this image " * 3
    lines = wrap(text.strip(), 120, 9, max_lines=50)
    assert len(lines) > 3
    assert all(line.width * 9 / 1000 <= 120 for line in lines)
    assert " ".join(words(lines)) == text.strip()


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    lines = wrap("word " * 100, 100, 9, max_lines=2)
    assert len(lines) == 2
    assert words(lines)[-1].endswith("…")
    assert all(line.width * 9 / 1000 <= 100 for line in lines)


def test_a_word_longer_than_the_line_is_broken() -> None:
    lines = wrap("x" * 100, 60, 9, max_lines=40)
    assert "".join(words(lines)) == "x" * 100
    assert all(line.width * 9 / 1000 <= 60 for line in lines)


def test_ideographs_break_anywhere() -> None:
    lines = wrap("山" * 30, 90, 9, max_lines=9)
    assert [len(word) for word in words(lines)] == [10, 10, 10]


def test_a_line_is_not_broken_before_a_vowel_sign() -> None:
    lines = wrap("ที่" * 30, 20, 9, max_lines=40)
    assert len(lines) > 5
    assert not [line for line in lines if line.actual_text and unicodedata.combining(line.actual_text[0])]


def test_a_substitute_is_never_cut_in_two() -> None:
    for line in words(wrap("🧠" * 12, 70, 9, max_lines=40)):
        assert line.count("[U+1F9E0]") * len("[U+1F9E0]") == len(line)


def test_fit_shrinks_before_it_cuts() -> None:
    line, size = fit("x" * 40, 100, 9, smallest=4)
    assert 4 < size < 9
    assert line.width * size / 1000 == pytest.approx(100)
    cut, smallest = fit("x" * 400, 100, 9, smallest=4)
    assert smallest == 4
    assert words([cut])[0].endswith("…")


def test_glyphs_without_a_character_get_a_code_that_does_not_depend_on_history() -> None:
    first = shape("क्ष").pieces
    shape("श्री ज्ञ ट्ठ द्ध")
    assert shape("क्ष").pieces == first
