"""Which font prints which character, and what is printed for a character that no font has.

The fonts lie under `fonts_data/` (README and licences beside them), xz-compressed, and are parsed on first use: a
report in Latin letters never pays for the Chinese font.
"""

import lzma
from bisect import bisect_right
from functools import cache, lru_cache
from importlib import resources
from io import BytesIO
from typing import Any, Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

__all__ = ["BOLD", "JOINERS", "REGULAR", "font_bytes", "font_for", "is_shaped", "load", "with_substitutes"]

REGULAR: Final = "NotoSans-Regular"
BOLD: Final = "NotoSans-Bold"
_CJK: Final = "DroidSansFallback"

# First and last code point and the file. Blocks, not scripts: what a font really has is asked of the font.
_BLOCKS: Final = (
    (0x0000, 0x052F, REGULAR),
    (0x0530, 0x058F, "NotoSansArmenian-Regular"),
    (0x0590, 0x05FF, "NotoSansHebrew-Regular"),
    (0x0600, 0x06FF, "NotoSansArabic-Regular"),
    (0x0750, 0x077F, "NotoSansArabic-Regular"),
    (0x08A0, 0x08FF, "NotoSansArabic-Regular"),
    (0x0900, 0x097F, "NotoSansDevanagari-Regular"),
    (0x0980, 0x09FF, "NotoSansBengali-Regular"),
    (0x0A00, 0x0A7F, "NotoSansGurmukhi-Regular"),
    (0x0A80, 0x0AFF, "NotoSansGujarati-Regular"),
    (0x0B80, 0x0BFF, "NotoSansTamil-Regular"),
    (0x0C00, 0x0C7F, "NotoSansTelugu-Regular"),
    (0x0E00, 0x0E7F, "NotoSansThai-Regular"),
    (0x0E80, 0x0EFF, "NotoSansLao-Regular"),
    (0x10A0, 0x10FF, "NotoSansGeorgian-Regular"),
    (0x1780, 0x17FF, "NotoSansKhmer-Regular"),
    (0x1C90, 0x1CBF, "NotoSansGeorgian-Regular"),
    (0x1E00, 0x2BFF, REGULAR),
    (0x2D00, 0x2D2F, "NotoSansGeorgian-Regular"),
    (0x3000, 0x318F, _CJK),
    (0x4E00, 0x9FFF, _CJK),
    (0xAC00, 0xD7A3, _CJK),
    (0xFB13, 0xFB17, "NotoSansArmenian-Regular"),
    (0xFB1D, 0xFB4F, "NotoSansHebrew-Regular"),
    (0xFB50, 0xFDFF, "NotoSansArabic-Regular"),
    (0xFE70, 0xFEFE, "NotoSansArabic-Regular"),
    (0xFF00, 0xFFEF, _CJK),
    (0xFFFD, 0xFFFD, REGULAR),
)
_STARTS: Final = [first for first, _, _ in _BLOCKS]
_UNSHAPED: Final = frozenset({REGULAR, BOLD, _CJK, "NotoSansArmenian-Regular", "NotoSansGeorgian-Regular"})
JOINERS: Final = "\u200c\u200d"


def font_bytes(name: str) -> bytes:
    """Return the TrueType file of a packaged font.

    Raises:
        FileNotFoundError: there is no such font in the package.
    """
    packed = resources.files("reports").joinpath("fonts_data", f"{name}.ttf.xz").read_bytes()
    return lzma.decompress(packed)


@cache
def load(name: str) -> Any:  # TTFont; untyped upstream
    """Return the font, parsed once a process and known to ReportLab under `name`.

    Raises:
        FileNotFoundError: there is no such font in the package.
    """
    font = TTFont(name, BytesIO(font_bytes(name)), shapable=False)
    pdfmetrics.registerFont(font)
    return font


@lru_cache(maxsize=8192)
def font_for(char: str, *, bold: bool = False) -> str | None:
    """Return the name of the font that prints `char`, `None` when none does. Latin, Greek, Cyrillic have a bold."""
    code = ord(char)
    first, last, name = _BLOCKS[bisect_right(_STARTS, code) - 1]
    if not first <= code <= last or code not in load(name).face.charToGlyph:
        return None
    return BOLD if bold and name == REGULAR else name


def is_shaped(font: str) -> bool:
    """Whether a script of this font joins, stacks or reorders its letters, so that HarfBuzz must place them."""
    return font not in _UNSHAPED


def with_substitutes(text: str) -> str:
    """Return `text` with each character that no font has written out, for example `[U+1F9E0]`.

    An empty box, or a letter silently missing, would turn a name into another name.
    """
    return "".join(_printed(char) for char in text)


def _printed(char: str) -> str:
    if char in JOINERS or font_for(char) is not None:
        return char
    return f"[U+{ord(char):04X}]"
