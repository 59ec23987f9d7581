"""The top of the report: masthead, verdict, who and what; and what runs along on every page."""

from datetime import date
from typing import Any

from reports.content import RESEARCH_USE_ONLY, Priority, ReportContent
from reports.layout import Block, Style, beside, paragraph, rule, spacer, stack, text_block
from reports.shaping import draw_line, fit, shape, wrap
from reports.text import clean
from reports.theme import ACCENT, GREY, INK, PRIORITY_LOOKS, RULE, SMALL, WHITE, PriorityLook, ink
from reports.wording import PRIORITY_SENTENCES, percent, utc

__all__ = ["TITLE", "facts", "footer", "masthead", "revision_line", "running_header", "subject", "verdict"]

NO_TUMOR = "No Tumor"
TITLE = "Brain MRI triage report"


def revision_line(content: ReportContent) -> str:
    """Return `Revision 2, supersedes revision 1`."""
    if content.revision > 1:
        return f"Revision {content.revision}, supersedes revision {content.revision - 1}"
    return f"Revision {content.revision}"


def masthead(content: ReportContent, width: float) -> Block:
    """Return the title of page 1 with the study and its revision."""
    half = width * 0.5
    left = stack(
        [
            paragraph(TITLE, half, Style(17, ACCENT, bold=True, leading=1.2), max_lines=1),
            paragraph("Automatic first look by a research model", half, Style(SMALL + 0.5, GREY), max_lines=1),
        ]
    )
    right_width = width - half
    study = fit(clean(f"Study {content.study}", 90), right_width, 9, bold=True)
    revision = fit(revision_line(content), right_width, 8.5)
    alert = fit("RESEARCH USE ONLY", right_width, SMALL, bold=True)

    def right(canvas: Any, x: float, top: float) -> None:
        for index, ((line, size), colour) in enumerate(((study, INK), (revision, INK), (alert, GREY))):
            left_edge = x + right_width - line.width * size / 1000
            draw_line(canvas, line, left_edge, top - 11 - 11.5 * index, size=size, colour=colour)

    return beside([(0, left), (half, Block(3 * 11.5 + 3, right))])


def verdict(content: ReportContent, width: float) -> Block:
    """Return the banner: priority as word, sign and colour, the class with its probability, what to do."""
    look = PRIORITY_LOOKS[content.priority]
    side = 150.0
    body = _verdict_body(content, width - side - 32, look)
    height = max(84.0, body.height + 24)
    word = shape(look.word, bold=True)

    def draw(canvas: Any, x: float, top: float) -> None:
        canvas.setFillColor(ink(look.tint))
        canvas.rect(x, top - height, width, height, stroke=0, fill=1)
        canvas.setFillColor(ink(look.strong))
        canvas.rect(x, top - height, side, height, stroke=0, fill=1)
        middle = top - height / 2
        _sign(canvas, x + side / 2, middle + 13, look)
        draw_line(canvas, word, x + (side - word.width * 0.022) / 2, middle - 24, size=22, colour=WHITE)
        body.draw(canvas, x + side + 16, middle + body.height / 2)

    return Block(height, draw)


def _verdict_body(content: ReportContent, width: float, look: PriorityLook) -> Block:
    title, name, probability = _headline(content)
    label = wrap(clean(name, 80), width * 0.7, 24, bold=True)

    def headline(canvas: Any, x: float, top: float) -> None:
        draw_line(canvas, label[0], x, top - 22, size=24, colour=INK)
        if probability is not None:
            line = shape(f"probability {percent(probability)}")
            draw_line(canvas, line, x + label[0].width * 0.024 + 10, top - 22, size=11, colour=GREY)

    return stack(
        [
            paragraph(title, width, Style(SMALL, GREY), max_lines=1),
            Block(30, headline),
            paragraph(PRIORITY_SENTENCES[content.priority], width, Style(10, look.strong, bold=True), max_lines=2),
        ]
    )


def _headline(content: ReportContent) -> tuple[str, str, float | None]:
    """Return what stands over the verdict, the verdict and its probability.

    A tumour is suspected from the operating point on, which may be below one half, and P(tumour) is shared among its
    kinds: "No Tumor" can be the most likely class of a study that is urgent, and is no headline for it.
    """
    probabilities = dict(content.probabilities)
    if content.priority is Priority.URGENT and content.label == NO_TUMOR and NO_TUMOR in probabilities:
        return "Above the operating point, kind unclear", "Tumour", 1 - probabilities[NO_TUMOR]
    return "Most likely class", content.label, probabilities.get(content.label)


def _sign(canvas: Any, x: float, y: float, look: PriorityLook) -> None:
    canvas.saveState()
    canvas.setStrokeColor(ink(WHITE))
    canvas.setLineWidth(2.4)
    canvas.setLineJoin(1)
    canvas.setLineCap(1)
    outline = canvas.beginPath()
    if look.sign == "circle":
        outline.circle(x, y, 13)
    else:
        corners = {"triangle": [(0, 14), (15, -12), (-15, -12)], "diamond": [(0, 15), (15, 0), (0, -15), (-15, 0)]}
        (first, *others) = corners[look.sign]
        outline.moveTo(x + first[0], y + first[1])
        for dx, dy in others:
            outline.lineTo(x + dx, y + dy)
        outline.close()
    canvas.drawPath(outline, stroke=1, fill=0)
    if look.sign == "circle":
        canvas.lines([(x - 6, y, x - 1.5, y - 5), (x - 1.5, y - 5, x + 6, y + 5)])
    elif look.sign == "triangle":
        canvas.lines([(x, y + 5.5, x, y - 2.5), (x, y - 7, x, y - 6.9)])
    else:
        mark = shape("?", bold=True)
        draw_line(canvas, mark, x - mark.width * 0.008, y - 5.6, size=16, colour=WHITE)
    canvas.restoreState()


def facts(pairs: list[tuple[str, str | None, float]], width: float, *, max_lines: int = 2) -> Block:
    """Return labelled values in one row: (label, value, share of the width). Absent values leave no gap."""
    present = [(label, value, share) for label, value, share in pairs if value is not None and clean(value, 10)]
    total = sum(share for _, _, share in present) or 1.0
    parts: list[tuple[float, Block]] = []
    left = 0.0
    for label, value, share in present:
        column = width * share / total
        cell = [
            paragraph(label, column - 10, Style(SMALL - 0.5, GREY), max_lines=1),
            paragraph(value, column - 10, Style(9.5), max_lines=max_lines),
        ]
        parts.append((left, stack(cell)))
        left += column
    return beside(parts)


def subject(content: ReportContent, width: float) -> Block:
    """Return the patient's and the study's facts."""
    patient = content.patient
    who = facts(
        [
            ("Patient", patient.name, 2.3),
            ("Patient ID", patient.patient_id, 1.5),
            ("Born", _date(patient.birth_date), 1.0),
            ("Sex", patient.sex, 0.6),
            ("Age", _age(patient.age), 0.7),
        ],
        width,
    )
    if not who.height:
        who = paragraph("No patient data in the input.", width, Style(colour=GREY), max_lines=1)
    what = facts(
        [
            ("Study description", content.study_description, 2.3),
            ("Study date", _date(content.study_date), 1.5),
            ("Reported", utc(content.reported_at), 2.3),
        ],
        width,
    )
    return stack([who, rule(width), what], gap=6)


def _date(text: str | None) -> str | None:
    if text is None or len(text) != 8 or not text.isdigit():
        return text
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])).isoformat()
    except ValueError:
        return text


def _age(text: str | None) -> str | None:
    # PS3.5 6.2, AS: three digits and D, W, M or Y
    units = {"D": "days", "W": "weeks", "M": "months", "Y": "years"}
    if text is None or len(text) != 4 or not text[:3].isdigit() or text[3] not in units:
        return text
    return f"{int(text[:3])} {units[text[3]]}"


def running_header(content: ReportContent, width: float) -> Block:
    """Return the line that says on every page but the first which study it belongs to."""
    look = PRIORITY_LOOKS[content.priority]
    left = wrap(clean(f"{TITLE}: study {content.study}", 110), width * 0.7, SMALL, bold=True)
    right = shape(f"{look.word} · {revision_line(content)}")

    def draw(canvas: Any, x: float, top: float) -> None:
        draw_line(canvas, left[0], x, top - 8, size=SMALL, colour=ACCENT)
        draw_line(canvas, right, x + width - right.width * SMALL / 1000, top - 8, size=SMALL, colour=look.strong)

    return stack([Block(13, draw), rule(width)])


def footer(content: ReportContent, width: float, page: int, pages: int) -> Block:
    """Return the research-use line and the page number."""
    line, size = fit(RESEARCH_USE_ONLY, width, SMALL, bold=True)
    warning = text_block([line], Style(size, INK))
    left = wrap(clean(f"Study {content.study}, revision {content.revision}", 110), width * 0.75, SMALL)
    right = shape(f"Page {page} of {pages}")

    def draw(canvas: Any, x: float, top: float) -> None:
        draw_line(canvas, left[0], x, top - 8, size=SMALL, colour=GREY)
        draw_line(canvas, right, x + width - right.width * SMALL / 1000, top - 8, size=SMALL, colour=GREY)

    return stack([rule(width, RULE), spacer(3), warning, Block(11, draw)])
