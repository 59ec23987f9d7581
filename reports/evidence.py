"""The middle of the report: key images with boxes, probabilities, reasons, findings."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from reportlab.lib.utils import ImageReader

from reports.annotate import MAX_BOXES, box_colour, draw_boxes_on_page, draw_letters_on_page
from reports.content import FindingRow, KeyImage, ReportContent
from reports.layout import Block, Section, Style, bullets, paragraph, spacer, stack
from reports.shaping import draw_line, shape
from reports.table import Column, table
from reports.theme import ACCENT, GREY, INK, RULE, SMALL, ink
from reports.wording import percent, plain_reason

__all__ = ["findings_section", "key_image", "probability_bars", "reasons"]


@dataclass(frozen=True)
class _FindingColumn:
    """A column of the findings table.

    Attributes:
        of: its text in a row; `None` where the row has none.
        unknown: stands there instead.
    """

    column: Column
    of: Callable[[FindingRow], str | None]
    unknown: str = "unknown"


def _millimetres(size: float | None) -> str | None:
    return None if size is None else f"{size:.1f} mm"


_COLUMNS: Final = (
    _FindingColumn(Column("No.", 0.5), lambda row: str(row.number)),
    _FindingColumn(Column("Class", 1.4), lambda row: row.label),
    _FindingColumn(Column("P(lesion)", 1.0), lambda row: None if row.probability is None else percent(row.probability)),
    _FindingColumn(Column("Box score", 1.0), lambda row: percent(row.score)),
    _FindingColumn(Column("Where", 3.3), lambda row: row.location),
    _FindingColumn(Column("Box, px", 1.1), lambda row: f"{row.size_px[0]:.0f} × {row.size_px[1]:.0f}"),
    _FindingColumn(Column("Diameter", 1.3), lambda row: _millimetres(row.diameter_mm), "spacing unknown"),
    _FindingColumn(Column("Across slices", 1.3), lambda row: _millimetres(row.extent_mm), "spacing unknown"),
)

PROBABILITY_REMARK: Final = "P(lesion): how often boxes like these mark a lesion, of any class, on single test images."
MAX_FINDINGS: Final = 24
MAX_REASONS: Final = 8


def key_image(image: KeyImage, width: float, max_height: float) -> Block:
    """Return the picture as large as it goes into `width` x `max_height` points, boxes over it, caption under it.

    The JPEG's own bytes go into the PDF; the boxes are vector graphics, drawn when the page is.

    Raises:
        ValueError: the bytes are no JPEG or the frame has no area.
    """
    if not image.jpeg.startswith(b"\xff\xd8"):
        raise ValueError(f"key image {image.caption!r} is not a JPEG")
    if image.width < 1 or image.height < 1:
        raise ValueError(f"key image is {image.width} x {image.height} pixels, expected at least 1 x 1")
    scale = min(width / image.width, max_height / image.height)
    drawn = (image.width * scale, image.height * scale)
    remarks = [paragraph(image.caption, width, Style(SMALL, GREY), max_lines=2)]
    if len(image.boxes) > MAX_BOXES:
        undrawn = f"{len(image.boxes) - MAX_BOXES} more boxes are not drawn."
        remarks.append(paragraph(undrawn, width, Style(SMALL), max_lines=1))

    def draw(canvas: Any, x: float, top: float) -> None:
        picture = ImageReader(BytesIO(image.jpeg))
        canvas.drawImage(picture, x, top - drawn[1], drawn[0], drawn[1])
        if image.edges is not None:
            draw_letters_on_page(canvas, image.edges, drawn, (x, top))
        draw_boxes_on_page(canvas, image, drawn, (x, top))

    return stack([Block(drawn[1], draw), spacer(3), *remarks])


def probability_bars(content: ReportContent, width: float) -> Block:
    """Return one bar a class with its percentage, the reported class in bold."""
    name_width, value_width, row = width * 0.36, 44.0, 15.0
    track = width - name_width - value_width

    def bar(name: str, value: float) -> Block:
        chosen = name == content.label
        style = Style(8.5, INK if chosen else GREY, bold=chosen, leading=row / 8.5)
        label = paragraph(name, name_width - 6, style, max_lines=1)
        figure = shape(percent(value), bold=chosen)

        def draw(canvas: Any, x: float, top: float) -> None:
            label.draw(canvas, x, top)
            canvas.setFillColor(ink(RULE))
            canvas.rect(x + name_width, top - row / 2 - 3.5, track, 7, stroke=0, fill=1)
            canvas.setFillColor(ink(ACCENT if chosen else GREY))
            canvas.rect(x + name_width, top - row / 2 - 3.5, track * min(max(value, 0.0), 1.0), 7, stroke=0, fill=1)
            right = x + width - figure.width * 0.0085
            draw_line(canvas, figure, right, top - row / 2 - 3, size=8.5, colour=style.colour)

        return Block(row, draw)

    return stack([bar(name, value) for name, value in content.probabilities[:12]])


def reasons(content: ReportContent, width: float) -> Block:
    """Return why a person should look, in plain words."""
    if not content.review_reasons:
        return paragraph("No reason for a review was raised.", width, Style(8.5, GREY), max_lines=2)
    shown = [plain_reason(reason) for reason in content.review_reasons[:MAX_REASONS]]
    hidden = len(content.review_reasons) - len(shown)
    if hidden:
        shown.append(f"{hidden} more reasons are not listed.")
    return bullets(shown, width, Style(8.5), max_lines=4)


def findings_section(findings: tuple[FindingRow, ...], width: float) -> Section:
    """Return the findings table; probabilities and millimetres only where a finding has such."""
    if not findings:
        return Section("Findings", paragraph("No lesion was marked.", width, Style(colour=GREY), max_lines=1))
    columns = [column for column in _COLUMNS if any(column.of(row) is not None for row in findings)]
    shown = findings[:MAX_FINDINGS]
    rows = [[column.of(row) or column.unknown for column in columns] for row in shown]
    header, blocks = table(
        [column.column for column in columns], rows, width, chips=[box_colour(row.label) for row in shown]
    )
    if any(row.probability is not None for row in findings):
        blocks.append(paragraph(PROBABILITY_REMARK, width, Style(8, GREY), max_lines=2))
    if len(findings) > len(shown):
        more = f"{len(findings) - len(shown)} more findings are not listed."
        blocks.append(paragraph(more, width, Style(8, GREY), max_lines=1))
    return Section("Findings", spacer(0), header, tuple(blocks))
