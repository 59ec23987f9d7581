"""Plain tables: a header and rows as blocks, so that a page can break between rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.layout import Block, Style, beside, paragraph, rule, spacer, stack
from reports.theme import GREY, SMALL, ink

__all__ = ["Cell", "Column", "table"]

Cell = str | tuple[str, str | None]


@dataclass(frozen=True)
class Column:
    """One column: its title, its share of the width, the style and the most lines of its cells."""

    title: str
    share: float
    style: Style = field(default_factory=lambda: Style(8.5))
    max_lines: int = 2


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: float, chips: Sequence[str] = ()
) -> tuple[Block, list[Block]]:
    """Return the header and one block a row.

    Args:
        columns: from left to right.
        rows: for each column a text, or a text and a remark that stands under it; any text is welcome.
        width: points.
        chips: a `#RRGGBB` colour for each row, drawn as a small square before its first cell.
    """
    total = sum(column.share for column in columns)
    widths = [width * column.share / total for column in columns]
    titles = [
        paragraph(column.title, w - 8, Style(SMALL, GREY, bold=True), max_lines=1)
        for column, w in zip(columns, widths, strict=True)
    ]
    header = stack([_row(titles, widths), spacer(2), rule(width, GREY, 0.7)])
    blocks: list[Block] = []
    for index, cells in enumerate(rows):
        indent = 10.0 if chips else 0.0
        parts = [
            _cell(cell, w - 8 - (indent if first == 0 else 0), column)
            for first, (cell, column, w) in enumerate(zip(cells, columns, widths, strict=True))
        ]
        if chips:
            parts[0] = _with_chip(parts[0], chips[index], indent)
        blocks.append(stack([spacer(2.5), _row(parts, widths), spacer(2.5), rule(width)]))
    return header, blocks


def _cell(cell: Cell, width: float, column: Column) -> Block:
    text, remark = (cell, None) if isinstance(cell, str) else cell
    body = paragraph(text, width, column.style, max_lines=column.max_lines)
    if not remark:
        return body
    # A paragraph of its own: in one with a right-to-left name the remark would be turned around with it.
    return stack([body, paragraph(remark, width, Style(column.style.size - 0.5, GREY), max_lines=2)])


def _row(parts: Sequence[Block], widths: Sequence[float]) -> Block:
    offsets = [sum(widths[:index]) for index in range(len(widths))]
    return beside(list(zip(offsets, parts, strict=True)))


def _with_chip(cell: Block, colour: str, indent: float) -> Block:
    def draw(canvas: Any, x: float, top: float) -> None:
        canvas.setFillColor(ink(colour))
        canvas.setStrokeColor(ink(GREY))
        canvas.setLineWidth(0.4)
        canvas.rect(x, top - 9.2, 6.5, 6.5, stroke=1, fill=1)
        cell.draw(canvas, x + indent, top)

    return Block(cell.height, draw)
