"""Foreign text made safe to print: names, descriptions, file names.

Whatever a header or a file name holds comes out as one bounded line of printable characters, in logical order.
Nothing here knows markup: who prints the result must treat it as text.
"""

import unicodedata

__all__ = ["clean"]

_MAX_MARKS = 4  # accents on one letter; no script stacks more, and a hundred of them would paint over the page
_JOINERS = "\u200c\u200d"  # Persian and Indic names are spelled with them
_ELLIPSIS = "…"


def clean(text: str, limit: int) -> str:
    """Return `text` as one line of at most `limit` characters, cut with an ellipsis.

    Control characters and every kind of white space become one space. Invisible format characters go, among them the
    bidi overrides and isolates that could show `exe.gpj` for `jpg.exe`, and variation selectors. Lone surrogates
    become U+FFFD, accents are composed (NFC).

    Raises:
        ValueError: `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    if len(text) <= limit and text.isascii() and text.isprintable():
        return " ".join(text.split())
    window = text[: 4 * limit + 64]  # a 60,000-word description must not cost more than a short one
    printable = unicodedata.normalize("NFC", _without_mark_towers(_printable(window)))
    line = " ".join(printable.split())
    if len(line) <= limit and len(window) == len(text):
        return line
    return line[: limit - 1].rstrip() + _ELLIPSIS


def _printable(text: str) -> str:
    return "".join(map(_printable_character, text))


def _printable_character(char: str) -> str:
    if char in _JOINERS:
        return char
    if "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return ""
    category = unicodedata.category(char)
    if category in {"Cc", "Zs", "Zl", "Zp"}:
        return " "
    if category == "Cs":
        return "\ufffd"
    return "" if category == "Cf" else char


def _without_mark_towers(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) == "Mn" else 0
        if marks <= _MAX_MARKS:
            kept.append(char)
    return "".join(kept)
