"""A report only shows: no script, action, link, form or attachment in any object, whatever the text says."""

from io import BytesIO

import pytest
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from reports.pdf import render_pdf
from tests.reports.active import active_content
from tests.reports.samples import report
from tests.reports.test_pdf_hostile import MARKUP, filled


def test_a_report_has_none() -> None:
    assert active_content(render_pdf(report())) == set()


@pytest.mark.parametrize(
    "text",
    [
        *MARKUP,
        "/JS (app.alert(1)) /S /JavaScript >> endobj 9 0 obj << /OpenAction 9 0 R",
        ") >> endobj 1 0 obj << /Type /Catalog /OpenAction << /S /Launch /F (cmd) >>",
        "https://example.org/?q=x mailto:a@example.org",
        "\\) /URI (http://127.0.0.1:9/)",
        '<a href="javascript:alert(1)">x</a> <link href="http://127.0.0.1:9/"/>',
    ],
)
def test_nor_does_hostile_text_in_every_field_make_some(text: str) -> None:
    assert active_content(render_pdf(filled(text))) == set()


def test_the_search_finds_each() -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    script = {NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.alert(1)")}
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(script)
    writer.add_attachment("a.txt", b"content")
    writer.add_uri(0, "http://127.0.0.1:9/", (0, 0, 10, 10))
    out = BytesIO()
    writer.write(out)
    assert {
        "/OpenAction",
        "/JavaScript",
        "/JS",
        "/EmbeddedFile",
        "/EmbeddedFiles",
        "/URI",
        "/Annots",
    } <= active_content(out.getvalue())
