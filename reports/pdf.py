"""One PDF a study, verdict first. `render_pdf` is the only way in."""

from datetime import UTC
from io import BytesIO
from typing import Any, Final

from reportlab import rl_config
from reportlab.pdfgen.canvas import Canvas

from reports.content import KeyImage, ReportContent
from reports.evidence import findings_section, key_image, probability_bars, reasons
from reports.frontmatter import TITLE, footer, masthead, running_header, subject, verdict
from reports.layout import Block, Flow, Section, Style, beside, bullets, heading, paragraph, spacer, stack
from reports.origins import files_section, model_quality, provenance, series_section
from reports.theme import GREY, MARGIN, PageSize

__all__ = ["PageSize", "render_pdf"]

MAX_IMAGES: Final = 13  # one large and four rows of three
MAX_NOTES: Final = 12
_HEADER: Final = 24.0
_FOOTER: Final = 28.0
_GUTTER: Final = 18.0
_IMAGE: Final = 284.0  # side of the first key image


def render_pdf(content: ReportContent, page_size: PageSize = PageSize.A4) -> bytes:
    """Return the report as PDF bytes: equal content gives equal bytes.

    All text of `content` is printed as text, bounded; the number of pages is bounded too. Key images' JPEG bytes are
    embedded unchanged.

    Raises:
        ValueError: a key image is no JPEG or has no area, or a time has no time zone.
        OSError: a key image is a damaged JPEG.
    """
    flow = Flow(page_size.points, header=_HEADER, footer=_FOOTER)
    _compose(flow, content)
    out = BytesIO()
    rl_config.useA85 = 0  # streams as they are: base 85 costs a quarter more bytes and ten times the time
    canvas = Canvas(out, pagesize=page_size.points, pageCompression=1, invariant=1, lang="en")
    _describe(canvas, content)
    for number, page in enumerate(flow.pages, start=1):
        for block, top in page:
            block.draw(canvas, MARGIN, top)
        if number > 1:
            running_header(content, flow.width).draw(canvas, MARGIN, page_size.points[1] - MARGIN + 8)
        footer(content, flow.width, number, len(flow.pages)).draw(canvas, MARGIN, MARGIN + _FOOTER - 12)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _describe(canvas: Any, content: ReportContent) -> None:
    # The file's properties are shown in places where the page is not: no patient data there.
    canvas.setTitle(TITLE)
    canvas.setAuthor("brain-mri-triage")
    canvas.setCreator("brain-mri-triage")
    canvas.setSubject("Research use only")
    made = content.reported_at.astimezone(UTC)
    canvas.setDateFormatter(lambda *_: f"D:{made:%Y%m%d%H%M%S}+00'00'")


def _compose(flow: Flow, content: ReportContent) -> None:
    width = flow.width
    flow.place(masthead(content, width))
    flow.place(verdict(content, width), gap=10)
    flow.place(subject(content, width), gap=10)
    evidence, notes_shown = _evidence(content, width)
    flow.place(evidence, gap=14)
    flow.section(findings_section(content.findings, width))
    if len(content.key_images) > 1:
        flow.section(_more_images(content.key_images[1:], width), row_gap=10)
    if content.notes and not notes_shown:
        flow.section(Section("Notes", _notes(content, width, Style())))
    if content.series:
        flow.section(series_section(content.series, width))
    flow.section(files_section(content.files, width))
    flow.section(Section("How good the model is", model_quality(content.model, width)))
    flow.section(Section("Provenance", provenance(content, width)))


def _evidence(content: ReportContent, width: float) -> tuple[Block, bool]:
    """Return the first key image beside the bars and reasons, and whether the notes found room there too."""
    if not content.key_images:
        half = (width - _GUTTER) / 2
        bars = _titled("Probabilities", probability_bars(content, half), half)
        return beside([(0, bars), (half + _GUTTER, _reasons(content, half))]), False
    side = width - _IMAGE - _GUTTER
    picture = _titled("Key image", key_image(content.key_images[0], _IMAGE, _IMAGE), _IMAGE)
    column = [_titled("Probabilities", probability_bars(content, side), side), spacer(12), _reasons(content, side)]
    if content.notes:
        notes = [spacer(12), _titled("Notes", _notes(content, side, Style(8.5)), side)]
        if stack([*column, *notes]).height <= picture.height:
            return beside([(0, picture), (_IMAGE + _GUTTER, stack([*column, *notes]))]), True
    return beside([(0, picture), (_IMAGE + _GUTTER, stack(column))]), False


def _titled(title: str, block: Block, width: float) -> Block:
    return stack([heading(title, width), block])


def _reasons(content: ReportContent, width: float) -> Block:
    return _titled("Why a person should look" if content.review_reasons else "Review", reasons(content, width), width)


def _more_images(images: tuple[KeyImage, ...], width: float) -> Section:
    cell = (width - 2 * _GUTTER) / 3
    shown = images[: MAX_IMAGES - 1]
    rows = [
        beside(
            [
                (column * (cell + _GUTTER), key_image(image, cell, cell))
                for column, image in enumerate(shown[start : start + 3])
            ]
        )
        for start in range(0, len(shown), 3)
    ]
    if len(images) > len(shown):
        more = f"{len(images) - len(shown)} more key images are not shown."
        rows.append(paragraph(more, width, Style(8, GREY), max_lines=1))
    return Section("More key images", spacer(0), rows=tuple(rows))


def _notes(content: ReportContent, width: float, style: Style) -> Block:
    shown = list(content.notes[:MAX_NOTES])
    hidden = len(content.notes) - len(shown)
    return bullets([*shown, f"{hidden} more notes are not listed."] if hidden else shown, width, style, max_lines=3)
