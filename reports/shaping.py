"""From a clean string to glyphs at positions: direction, font per character, joining, line breaks.

Widths and offsets are in 1/1000 of the font size, x to the right and y up from the start of the baseline.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Final

import uharfbuzz as hb  # type: ignore[import-untyped, unused-ignore]

from reports.bidi import visual_runs
from reports.fonts import BOLD, JOINERS, REGULAR, font_bytes, font_for, is_shaped, load, with_substitutes
from reports.theme import ink

__all__ = ["Line", "Piece", "draw_line", "fit", "shape", "wrap"]

_PRIVATE: Final = 0xE000  # base of the code points for glyphs without one of their own
_ELLIPSIS: Final = "…"


@dataclass(frozen=True)
class Piece:
    """Characters of one font printed from one point on with the font's own advances."""

    font: str
    chars: str
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """One line ready to print.

    Attributes:
        pieces: in visual order.
        width: 1/1000 of the font size.
        actual_text: what copy and search must find where the glyphs do not spell it; `None` where they do, and in
            right-to-left text: readers (poppler and pdfium, measured) turn that around themselves, this with it.
    """

    pieces: tuple[Piece, ...]
    width: float
    actual_text: str | None


@dataclass(frozen=True)
class _Glyph:
    font: str
    char: str
    advance: float
    x: float = 0.0
    y: float = 0.0
    natural: bool = True


def shape(text: str, *, bold: bool = False) -> Line:
    """Lay out clean, single-line `text` (reports/text.py); a character no font has is written out as `[U+…]`."""
    if text.isascii() and text.isprintable():  # most text, and a tenth of the work
        font = BOLD if bold else REGULAR
        return Line((Piece(font, text, 0.0, 0.0),) if text else (), _ascii_width(text, font), None)
    logical = with_substitutes(text)
    glyphs: list[_Glyph] = []
    runs = visual_runs(logical)
    reordered = False
    for run in runs:
        items = _itemise(logical[run.start : run.stop], bold=bold)
        for font, chars in reversed(items) if run.right_to_left else items:
            if run.right_to_left or is_shaped(font) or any(map(unicodedata.combining, chars)):
                glyphs.extend(_shaped(font, chars, right_to_left=run.right_to_left))
                reordered = True
            else:
                glyphs.extend(_unshaped(font, chars))
    turned = any(run.right_to_left for run in runs)
    width = sum(glyph.advance for glyph in glyphs)
    return Line(_pieces(glyphs), width, logical if reordered and not turned else None)


def wrap(text: str, width: float, size: float, *, max_lines: int = 1, bold: bool = False) -> list[Line]:
    """Break clean `text` into at most `max_lines` lines of `width` points at font size `size` points.

    Breaks at spaces and between ideographs, inside a word only when it alone is too long. What does not fit is cut
    with an ellipsis. Always returns at least one line.
    """
    limit = 1000 * width / size
    lines: list[Line] = []
    rest = text
    while rest and len(lines) < max_lines:
        last = len(lines) == max_lines - 1
        head, rest = _break(rest, limit, last=last, bold=bold)
        lines.append(shape(head, bold=bold))
    return lines or [shape("", bold=bold)]


def fit(text: str, width: float, size: float, *, smallest: float = 6.0, bold: bool = False) -> tuple[Line, float]:
    """Return `text` as one line of at most `width` points, and its size in points.

    The size is `size`, or smaller down to `smallest`; what is still too long is cut with an ellipsis.
    """
    line = shape(text, bold=bold)
    shrunk = min(size, 1000 * width / line.width) if line.width else size
    if shrunk >= smallest:
        return line, shrunk
    return wrap(text, width, smallest, bold=bold)[0], smallest


def draw_line(canvas: Any, line: Line, x: float, y: float, *, size: float, colour: str) -> None:
    """Print `line` from the baseline point (`x`, `y`), in points of the canvas, in a `#RRGGBB` colour."""
    if line.actual_text is not None:  # PDF 32000-1, 14.9.4
        actual = (b"\xfe\xff" + line.actual_text.encode("utf-16-be")).hex().upper()
        canvas.addLiteral(f"/Span <</ActualText <{actual}>>> BDC")
    canvas.setFillColor(ink(colour))
    for piece in line.pieces:
        words = canvas.beginText()
        words.setFont(piece.font, size)
        words.setTextOrigin(x + piece.x * size / 1000, y + piece.y * size / 1000)
        words.textOut(piece.chars)
        canvas.drawText(words)
    if line.actual_text is not None:
        canvas.addLiteral("EMC")


@cache
def _ascii_widths(font: str) -> tuple[float, ...]:
    widths = load(font).face.charWidths
    return tuple(float(widths.get(code, 0)) for code in range(128))


def _ascii_width(text: str, font: str) -> float:
    return sum(map(_ascii_widths(font).__getitem__, text.encode("ascii")))


def _itemise(text: str, *, bold: bool) -> list[tuple[str, str]]:
    fonts: list[str] = []
    for char in text:
        own = font_for(char, bold=bold)
        stays = own is None or (fonts and unicodedata.combining(char) and font_for(char) == REGULAR)
        fonts.append(fonts[-1] if stays and fonts else own or REGULAR)
    items: list[tuple[str, str]] = []
    position = 0
    for font, group in groupby(fonts):
        length = len(list(group))
        items.append((font, text[position : position + length]))
        position += length
    return items


def _unshaped(font: str, chars: str) -> list[_Glyph]:
    widths = load(font).face.charWidths
    return [_Glyph(font, char, widths[ord(char)]) for char in chars if ord(char) in widths]


@cache
def _hb_font(name: str) -> Any:
    return hb.Font(hb.Face(font_bytes(name)))


def _shaped(font: str, chars: str, *, right_to_left: bool) -> list[_Glyph]:
    buffer = hb.Buffer()
    buffer.add_str(chars)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if right_to_left else "ltr"
    shaper = _hb_font(font)
    hb.shape(shaper, buffer, {"kern": False})  # a kerned word is many pieces to whoever searches the text
    scale = 1000 / shaper.face.upem
    glyphs: list[_Glyph] = []
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        advance = place.x_advance * scale
        code = _code_point(font, info.codepoint)
        natural = abs(load(font).face.charWidths[code] - advance) < 0.5
        glyphs.append(_Glyph(font, chr(code), advance, place.x_offset * scale, place.y_offset * scale, natural))
    return glyphs


def _code_point(font: str, glyph: int) -> int:
    """Return a code point that prints `glyph`: its own, or a private one that depends on nothing but the glyph.

    ReportLab's own shaping numbers such glyphs in order of first use in the process, which would make the bytes of a
    report depend on the reports before it.
    """
    face = load(font).face
    known = face.glyphToChar.get(glyph)
    if known:
        return int(min(known))
    code = _PRIVATE + glyph
    face.charToGlyph[code] = glyph
    face.charWidths[code] = 1000 / _hb_font(font).face.upem * _hb_font(font).get_glyph_h_advance(glyph)
    return code


def _pieces(glyphs: list[_Glyph]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    pen = 0.0
    joins = False
    for glyph in glyphs:
        moved = glyph.x != 0 or glyph.y != 0
        if joins and not moved and pieces[-1].font == glyph.font:
            pieces[-1] = Piece(glyph.font, pieces[-1].chars + glyph.char, pieces[-1].x, pieces[-1].y)
        else:
            pieces.append(Piece(glyph.font, glyph.char, pen + glyph.x, glyph.y))
        joins = glyph.natural and not moved
        pen += glyph.advance
    return tuple(pieces)


def _break(text: str, limit: float, *, last: bool, bold: bool) -> tuple[str, str]:
    """Split off what fits into `limit`; the rest is empty on the last line, which then ends in an ellipsis."""
    high = 16
    while high < len(text) and shape(text[:high], bold=bold).width <= limit:
        high *= 2  # never measure much more than a line: the text may be a thousand times longer
    if high >= len(text) and shape(text, bold=bold).width <= limit:
        return text, ""
    room = limit - shape(_ELLIPSIS, bold=bold).width if last else limit
    low, high = 1, min(high, len(text))
    while low < high:  # widths grow with the prefix but for joined letters, where a glyph more or less does not matter
        middle = (low + high + 1) // 2
        low, high = (middle, high) if shape(text[:middle], bold=bold).width <= room else (low, middle - 1)
    if last:
        return text[: _letter_start(text, low)].rstrip() + _ELLIPSIS, ""
    cut = _opportunity(text, low)
    return text[:cut].rstrip(), text[cut:].lstrip()


def _opportunity(text: str, fits: int) -> int:
    if text[fits : fits + 1] == " ":
        return fits
    for cut in range(fits, 0, -1):
        if text[cut - 1] in " -/_." or (unicodedata.east_asian_width(text[cut - 1]) == "W" and cut < len(text)):
            return cut
    return _letter_start(text, fits)


def _letter_start(text: str, cut: int) -> int:
    """Move a cut to the start of its letter: a vowel sign or an accent alone would stand on a dotted circle."""
    start = cut
    while 1 < start < len(text) and (unicodedata.category(text[start]).startswith("M") or text[start] in JOINERS):
        start -= 1
    return start if start > 1 else cut
