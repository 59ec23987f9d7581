"""Sizes and colours of the PDF, in points and sRGB hex. Text has at least 4.5:1 contrast on its ground (WCAG AA)."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from reportlab.lib.colors import HexColor

from reports.content import Priority

__all__ = [
    "ACCENT",
    "BODY",
    "GREY",
    "INK",
    "MARGIN",
    "PALE",
    "PRIORITY_LOOKS",
    "RULE",
    "SMALL",
    "WHITE",
    "PageSize",
    "PriorityLook",
    "ink",
]

INK: Final = "#16191D"
GREY: Final = "#59616B"
RULE: Final = "#CFD5DB"
PALE: Final = "#F2F5F7"
WHITE: Final = "#FFFFFF"
ACCENT: Final = "#143D59"

MARGIN: Final = 42.0
BODY: Final = 9.0
SMALL: Final = 7.5


@cache
def ink(colour: str) -> Any:
    """Return ReportLab's colour for `#RRGGBB`; parsing it for every word is a tenth of a page's time."""
    return HexColor(colour)


class PageSize(StrEnum):
    """Paper of the PDF."""

    A4 = "a4"
    LETTER = "letter"

    @property
    def points(self) -> tuple[float, float]:
        """Width and height in points (1/72 inch)."""
        return (612.0, 792.0) if self is PageSize.LETTER else (595.2756, 841.8898)


@dataclass(frozen=True)
class PriorityLook:
    """How a priority is shown: a word and a sign besides the colour."""

    word: str
    sign: str
    strong: str
    tint: str


PRIORITY_LOOKS: Final = {
    Priority.URGENT: PriorityLook("URGENT", "triangle", "#A8201A", "#FBEDEB"),
    Priority.REVIEW: PriorityLook("REVIEW", "diamond", "#835400", "#FDF3DF"),
    Priority.ROUTINE: PriorityLook("ROUTINE", "circle", "#1D6238", "#EAF4EE"),
}
