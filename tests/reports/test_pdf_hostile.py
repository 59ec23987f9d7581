"""Whatever a header holds: text, bounded, and never a lost report."""

import io
from dataclasses import replace

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.content import FindingRow, KeyImage, MarkedBox, Patient, ReportContent
from reports.pdf import render_pdf
from tests.reports.samples import input_file, jpeg, pdf_text, report

MARKUP = (
    "<b>Bold</b>",
    "</para>",
    "<font color=bad>x</font>",
    '<img src="/etc/passwd" width="99999"/>',
    "&#0; &lt; &amp;",
    "{{ 7 * 7 }} {% raw %}",
    "(\\) Tj ET Q endstream endobj",
    "%PDF-1.7 >> /JS (app.alert(1))",
)


def filled(text: str) -> ReportContent:
    """A report with `text` in every field that comes from outside."""
    base = report()
    return replace(
        base,
        study=text,
        label=text,
        probabilities=((text, 0.7), ("other", 0.3)),
        review_reasons=(text,) * 20,
        notes=(text,) * 40,
        patient=Patient(text, text, text, text, text),
        study_description=text,
        study_date=text,
        key_images=(KeyImage(jpeg(), 256, 256, text, (MarkedBox(1, text, 0.9, (10, 10, 90, 90)),)),) * 3,
        findings=(FindingRow(1, text, 0.9, text, (80, 80), 12.0),) * 40,
        files=(*(input_file(text, "rejected", text) for _ in range(40)), input_file("x")),
        model=replace(base.model, version=text, engine=text),
        software_version=text,
    )


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_printed_as_text(text: str) -> None:
    pdf = render_pdf(report(patient=Patient(text), files=(input_file(text),)))
    assert pdf_text(pdf).count(text) >= 2


def test_an_image_tag_embeds_no_file() -> None:
    pdf = render_pdf(filled(MARKUP[3]))
    objects = {
        reference.idnum
        for page in pypdf.PdfReader(io.BytesIO(pdf)).pages
        for reference in page["/Resources"].get("/XObject", {}).values()
    }
    assert len(objects) == 1  # the one key image, used three times


@pytest.mark.parametrize(
    "text",
    [
        "x" * 65_536,
        "word " * 60_000,
        "山" * 65_536,
        "🧠" * 65_536,
        "م" * 65_536,
        "ที่" * 20_000,
        "e" + "\u0301" * 65_536,
        "\x00\x01\x1b" * 1000,
        "\u202e" * 1000 + "abc",
        "\ud800\udfff",
        "",
        " ",
        "\u200d",
        "(" * 500,
    ],
    ids=["long word", "many words", "ideographs", "emoji", "arabic", "thai", "accents", "controls", "overrides",
         "surrogates", "empty", "space", "joiner", "brackets"],
)  # fmt: skip
def test_any_text_in_every_field_gives_a_short_report(text: str) -> None:
    pages = len(pypdf.PdfReader(io.BytesIO(render_pdf(filled(text)))).pages)
    assert 2 <= pages <= 12


def test_overrides_and_controls_are_gone_from_the_page() -> None:
    text = pdf_text(render_pdf(report(patient=Patient("a\u202egpj.exe\x07b"))))
    assert "agpj.exe b" in text
    assert "\u202e" not in text


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=80))
def test_any_name_renders(name: str) -> None:
    pdf = render_pdf(report(patient=Patient(name), key_images=(), findings=()))
    assert pdf.startswith(b"%PDF-")


@pytest.mark.parametrize(
    "xyxy",
    [(-50, -50, 900, 900), (200, 200, 100, 100), (10, 10, 10, 10), (255, 0, 256, 1), (-9, -9, -1, -1)],
)
def test_odd_boxes_do_not_lose_the_report(xyxy: tuple[float, float, float, float]) -> None:
    key = KeyImage(jpeg(), 256, 256, "x", (MarkedBox(1, "Glioma", 0.9, xyxy),))
    assert "1 Glioma 90.0 %" in pdf_text(render_pdf(report(key_images=(key,))))


@pytest.mark.parametrize(("width", "height"), [(4, 2000), (2000, 4), (1, 1)])
def test_odd_shapes_do_not_lose_the_report(width: int, height: int) -> None:
    key = KeyImage(jpeg(width, height), width, height, "x", (MarkedBox(1, "Glioma", 0.9, (0, 0, width, height)),))
    assert pdf_text(render_pdf(report(key_images=(key, key)))).count("Page") >= 2
