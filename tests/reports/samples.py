"""Made-up contents for the report tests. No picture here comes from a patient."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

import pypdf
import pypdfium2
from PIL import Image, ImageDraw

from reports.content import (
    FindingRow,
    InputFile,
    KeyImage,
    MarkedBox,
    ModelFacts,
    Patient,
    Priority,
    ReportContent,
    SeriesRow,
    WorklistEntry,
)

NOW = datetime(2026, 11, 23, 20, 38, 5, tzinfo=UTC)


@cache
def jpeg(width: int = 256, height: int = 256, shade: int = 40, mode: str = "L") -> bytes:
    """A grey head-like ellipse on black."""
    picture = Image.new(mode, (width, height))
    fill = shade if mode == "L" else (shade, shade, shade)
    ImageDraw.Draw(picture).ellipse((width // 8, height // 8, width * 7 // 8, height * 7 // 8), fill=fill)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def key_image(*boxes: MarkedBox, caption: str = "T1 axial, slice 12 of 26", shade: int = 40) -> KeyImage:
    return KeyImage(jpeg(shade=shade), 256, 256, caption, boxes)


GLIOMA = MarkedBox(1, "Glioma", 0.973, (100.0, 120.0, 140.0, 170.0))


def report(**changes: Any) -> ReportContent:
    """An urgent glioma with one box; `changes` replace fields."""
    base = ReportContent(
        study="ST-142",
        revision=1,
        priority=Priority.URGENT,
        label="Glioma",
        probabilities=(("Glioma", 0.953), ("Meningioma", 0.031), ("No Tumor", 0.0102), ("Pituitary", 0.0058)),
        review_reasons=(),
        notes=(),
        patient=Patient("Jane Doe", "PID-7", "19610412", "F", "065Y"),
        study_description="MR head",
        study_date="20261122",
        key_images=(key_image(GLIOMA),),
        findings=(FindingRow(1, "Glioma", 0.973, "slice 12", (40.0, 50.0), 24.5),),
        series=(SeriesRow("T1 axial", "T1", "axial", 26, 5.0, "read"),),
        files=(input_file("IM-0012.dcm"),),
        model=ModelFacts("2026.11-a", "OpenVINO int8", "ab" * 32, 0.977, (0.96, 0.987), 0.858, 512),
        received_at=NOW - timedelta(seconds=34),
        reported_at=NOW,
        software_version="0.1.0",
    )
    return replace(base, **changes)


def input_file(name: str, outcome: str = "read", message: str | None = None) -> InputFile:
    return InputFile(name, sha256(name.encode("utf-8", "replace")).hexdigest(), outcome, message)


def entry(study: str = "ST-142", **changes: Any) -> WorklistEntry:
    """A reported urgent study; `changes` replace fields."""
    base = WorklistEntry(
        study=study,
        patient="Jane Doe",
        files=("IM-0012.dcm",),
        priority=Priority.URGENT,
        label="Glioma",
        probability=0.953,
        review_reasons=(),
        state="reported",
        revision=1,
        received_at=NOW - timedelta(seconds=34),
        reported_at=NOW,
        report=f"reports/{study}.pdf",
        thumbnail_jpeg=jpeg(64, 64),
    )
    return replace(base, **changes)


def page_texts(pdf: bytes) -> list[str]:
    """Text of each page as pypdf reads it, white space collapsed."""
    return [re.sub(r"\s+", " ", page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def pdf_text(pdf: bytes) -> str:
    return " ".join(page_texts(pdf))


def pdfium_text(pdf: bytes) -> str:
    """All text as pdfium, the reader in Chromium, gives it for copying."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return " ".join(" ".join(page.get_textpage().get_text_range() for page in document).split())
    finally:
        document.close()


def render(pdf: bytes, page: int = 0, scale: float = 2.0) -> Image.Image:
    """One page as an RGB picture of `scale` pixels a point."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return document[page].render(scale=scale).to_pil().convert("RGB")
    finally:
        document.close()
