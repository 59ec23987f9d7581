"""Blocks of known height and the pages they flow onto. Units are points; PDF coordinates, y up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reports.shaping import Line, draw_line, wrap
from reports.text import clean
from reports.theme import ACCENT, BODY, INK, MARGIN, RULE, ink

__all__ = [
    "Block",
    "Flow",
    "Section",
    "Style",
    "beside",
    "bullets",
    "heading",
    "paragraph",
    "rule",
    "spacer",
    "stack",
    "text_block",
]

Draw = Callable[[Any, float, float], None]


@dataclass(frozen=True)
class Block:
    """Something to draw.

    Attributes:
        height: points.
        draw: called with the canvas, the left edge and the top edge.
    """

    height: float
    draw: Draw


@dataclass(frozen=True)
class Style:
    """How text looks: size in points, `#RRGGBB` colour, leading as a multiple of the size."""

    size: float = BODY
    colour: str = INK
    bold: bool = False
    leading: float = 1.36


def spacer(height: float) -> Block:
    """Return an empty block."""
    return Block(height, lambda _canvas, _x, _top: None)


def text_block(lines: Sequence[Line], style: Style) -> Block:
    """Return lines already wrapped, one under the other."""
    step = style.size * style.leading

    def draw(canvas: Any, x: float, top: float) -> None:
        # The baseline lies so that ascenders and descenders share the leading evenly.
        baseline = top - step / 2 - 0.36 * style.size
        for index, line in enumerate(lines):
            draw_line(canvas, line, x, baseline - index * step, size=style.size, colour=style.colour)

    return Block(step * len(lines), draw)


def paragraph(text: str, width: float, style: Style = Style(), *, max_lines: int = 4) -> Block:
    """Return `text` wrapped to `width` and cut with an ellipsis after `max_lines`. Any text is welcome."""
    room = int(max_lines * width / (style.size * 0.2)) + 1  # no font sets more letters than this
    lines = wrap(clean(text, min(room, 1200)), width, style.size, max_lines=max_lines, bold=style.bold)
    return text_block(lines, style)


def bullets(texts: Sequence[str], width: float, style: Style = Style(), *, max_lines: int = 4) -> Block:
    """Return a list with a bullet before each text."""

    def item(text: str) -> Block:
        body = paragraph(text, width - 10, style, max_lines=max_lines)

        def draw(canvas: Any, x: float, top: float) -> None:
            canvas.setFillColor(ink(ACCENT))
            canvas.circle(x + 2.5, top - style.size * style.leading / 2, 1.5, stroke=0, fill=1)
            body.draw(canvas, x + 10, top)

        return Block(body.height, draw)

    return stack([item(text) for text in texts], gap=2.5)


def rule(width: float, colour: str = RULE, thickness: float = 0.6) -> Block:
    """Return a horizontal line."""

    def draw(canvas: Any, x: float, top: float) -> None:
        canvas.setFillColor(ink(colour))
        canvas.rect(x, top - thickness, width, thickness, stroke=0, fill=1)

    return Block(thickness, draw)


def heading(text: str, width: float) -> Block:
    """Return the title of a section with its rule."""
    title = paragraph(text, width, Style(10.5, ACCENT, bold=True), max_lines=1)
    return stack([title, spacer(2), rule(width), spacer(5)])


def stack(blocks: Sequence[Block], gap: float = 0.0) -> Block:
    """Return blocks one under the other with `gap` points between them."""
    height = sum(block.height for block in blocks) + gap * max(0, len(blocks) - 1)

    def draw(canvas: Any, x: float, top: float) -> None:
        for block in blocks:
            block.draw(canvas, x, top)
            top -= block.height + gap

    return Block(height, draw)


def beside(parts: Sequence[tuple[float, Block]]) -> Block:
    """Return blocks side by side, top-aligned, each with its left edge's offset."""

    def draw(canvas: Any, x: float, top: float) -> None:
        for offset, block in parts:
            block.draw(canvas, x + offset, top)

    return Block(max((block.height for _, block in parts), default=0.0), draw)


@dataclass(frozen=True)
class Section:
    """A titled part of the report that may break over pages between its rows.

    Attributes:
        title: its heading.
        lead: stands under the heading, never apart from it.
        header: of a table, repeated on each page its rows go on to.
        rows: what may follow on the next page.
    """

    title: str
    lead: Block
    header: Block | None = None
    rows: tuple[Block, ...] = ()


class Flow:
    """Places blocks from top to bottom and opens a page when the next one does not fit."""

    def __init__(self, page: tuple[float, float], *, header: float, footer: float) -> None:
        """Start an empty first page.

        Args:
            page: width and height.
            header: height kept free at the top of every page but the first.
            footer: height kept free at the bottom of every page.
        """
        self.width = page[0] - 2 * MARGIN
        self._top = page[1] - MARGIN
        self._header = header
        self._bottom = MARGIN + footer
        self._y = self._top
        self.pages: list[list[tuple[Block, float]]] = [[]]

    def place(self, block: Block, *, gap: float = 0.0, repeat: Block | None = None) -> None:
        """Add a block `gap` points under the last one; where that opens a page, `repeat` stands above it there."""
        if self.pages[-1] and self._y - gap - block.height < self._bottom:
            self.pages.append([])
            self._y = self._top - self._header
            block = stack([repeat, block]) if repeat else block
        elif self.pages[-1]:
            self._y -= gap
        self.pages[-1].append((block, self._y))
        self._y -= block.height

    def section(self, section: Section, *, row_gap: float = 0.0) -> None:
        """Add a section: heading, lead, header and first row stay together."""
        first = [part for part in (section.header, *section.rows[:1]) if part]
        self.place(stack([heading(section.title, self.width), section.lead, *first]), gap=14)
        for row in section.rows[1:]:
            self.place(row, gap=row_gap, repeat=section.header)
