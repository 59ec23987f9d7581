"""Which font prints what, and substitutes."""

import pytest

from reports.fonts import BOLD, REGULAR, font_bytes, font_for, load, with_substitutes

NAMES = {
    "Latin": "Łukasz Þórður Nguyễn İşçi",
    "Greek": "Γεώργιος",
    "Cyrillic": "Дмитро Їжакевич",
    "Hebrew": "יוסף כהן",
    "Arabic": "محمد عبد الرحمن",
    "Persian": "پژمان چگینی",
    "Chinese": "张伟 張偉",
    "Japanese": "山田 たろう タロウ",
    "Korean": "김철수 뷁",
    "Thai": "สมชาย ใจดี",
    "Devanagari": "अमित शर्मा",
    "Tamil": "தமிழ்ச்செல்வன்",
    "Georgian": "ქართველი",
    "Armenian": "Հայկ",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_in_this_script_needs_no_substitute(name: str) -> None:
    assert with_substitutes(name) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ana 🧠", "Ana [U+1F9E0]"),
        ("𠀀", "[U+20000]"),
        ("\ue000", "[U+E000]"),
        ("ꦗ", "[U+A997]"),
    ],
)
def test_a_character_without_a_font_is_written_out(text: str, expected: str) -> None:
    assert with_substitutes(text) == expected


def test_bold_exists_for_latin_and_nothing_is_lost_elsewhere() -> None:
    assert font_for("a", bold=True) == BOLD
    assert font_for("a") == REGULAR
    assert font_for("山", bold=True) == font_for("山") == "DroidSansFallback"


def test_a_private_glyph_of_shaping_does_not_make_a_private_character_printable() -> None:
    face = load(REGULAR).face
    face.charToGlyph[0xE001] = 5
    try:
        assert font_for("\ue001") is None
    finally:
        del face.charToGlyph[0xE001]


def test_an_unknown_font_is_refused() -> None:
    with pytest.raises(FileNotFoundError):
        font_bytes("Comic")
