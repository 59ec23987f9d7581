"""The end of the report: which files, how good the model is, where every number comes from."""

from typing import Final

from reports.content import InputFile, ModelFacts, ReportContent, SeriesRow
from reports.frontmatter import facts
from reports.layout import Block, Section, Style, beside, paragraph, spacer, stack
from reports.table import Cell, Column, table
from reports.theme import GREY, INK, SMALL
from reports.wording import percent, utc

__all__ = ["files_section", "model_quality", "provenance", "series_section"]

MAX_FILES: Final = 24
MAX_SERIES: Final = 32


def series_section(series: tuple[SeriesRow, ...], width: float) -> Section:
    """Return what became of each series; beyond `MAX_SERIES` they are counted."""
    shown = series[:MAX_SERIES]
    columns = [
        Column("Outcome", 0.9, Style(8)),
        Column("Series", 4.2, Style(8)),
        Column("Shows", 1.5, Style(8)),
        Column("Plane", 1.1, Style(8)),
        Column("Slices", 0.7, Style(8)),
        Column("Apart", 0.9, Style(8)),
    ]
    rows: list[list[Cell]] = [
        [
            row.outcome,
            (row.name, row.remark),
            row.weighting or "",
            row.plane or "",
            str(row.slices),
            "" if row.spacing_mm is None else f"{row.spacing_mm:.1f} mm",
        ]
        for row in shown
    ]
    header, blocks = table(columns, rows, width)
    if len(series) > len(shown):
        more = f"{len(series) - len(shown)} more series are not listed."
        blocks.append(stack([spacer(4), paragraph(more, width, Style(8, GREY), max_lines=1)]))
    return Section("Series", spacer(0), header, tuple(blocks))


def files_section(files: tuple[InputFile, ...], width: float) -> Section:
    """Return what was read and what was not, the files that were not read first; the rest is counted."""
    if not files:
        return Section("Files", paragraph("No input file is recorded.", width, Style(colour=GREY), max_lines=1))
    ordered = sorted(files, key=lambda file: file.outcome == "read")  # stable: else as given
    shown = ordered[:MAX_FILES]
    columns = [
        Column("Outcome", 0.85, Style(8)),
        Column("File", 3.55, Style(8)),
        Column("SHA-256", 3.9, Style(5.8, GREY, leading=1.88), max_lines=1),  # 64 of the widest digit fit
    ]
    rows: list[list[Cell]] = [[file.outcome, (file.name, file.message), file.sha256] for file in shown]
    tally = stack([paragraph(_tally(files), width, Style(8.5), max_lines=2), spacer(5)])
    header, blocks = table(columns, rows, width)
    if len(files) > len(shown):
        more = paragraph(_more(ordered[MAX_FILES:]), width, Style(8, GREY), max_lines=2)
        blocks.append(stack([spacer(4), more]))
    return Section("Files", tally, header, tuple(blocks))


def _tally(files: tuple[InputFile, ...]) -> str:
    outcomes = sorted({file.outcome for file in files}, key=lambda outcome: (outcome != "read", outcome))
    counts = ", ".join(f"{sum(file.outcome == outcome for file in files)} {outcome}" for outcome in outcomes)
    return f"{len(files)} {'file' if len(files) == 1 else 'files'}: {counts}."


def _more(rest: list[InputFile]) -> str:
    left = sum(file.outcome != "read" for file in rest)
    detail = f", {left} of them not read" if left else ", all of them read"
    return f"{len(rest)} more {'file is' if len(rest) == 1 else 'files are'} not listed here{detail}."


def model_quality(model: ModelFacts, width: float) -> Block:
    """Return the model's measured figures, or that there are none."""
    tiles: list[Block] = []
    if model.accuracy is not None:
        spread = model.accuracy_ci95
        note = f"95 % CI {percent(spread[0])} – {percent(spread[1])}" if spread else "no interval recorded"
        tiles.append(_tile("Accuracy", percent(model.accuracy), note, width / 3 - 12))
    if model.map50_tumour is not None:
        tiles.append(_tile("mAP50, tumour boxes", f"{model.map50_tumour:.3f}", "at 50 % overlap", width / 3 - 12))
    if model.test_images is not None:
        tiles.append(_tile("Test images", f"{model.test_images}", "in the test set", width / 3 - 12))
    if not tiles:
        return paragraph("No measured quality is recorded for this model.", width, Style(colour=GREY), max_lines=1)
    caution = "Measured on the test images named in the model card. Other scanners and sequences can do worse."
    row = beside([(index * width / 3, tile) for index, tile in enumerate(tiles)])
    return stack([row, paragraph(caution, width, Style(8, GREY), max_lines=2)], gap=4)


def _tile(title: str, figure: str, note: str, width: float) -> Block:
    return stack(
        [
            paragraph(title, width, Style(SMALL, GREY), max_lines=1),
            paragraph(figure, width, Style(15, INK, bold=True, leading=1.3), max_lines=1),
            paragraph(note, width, Style(8), max_lines=1),
        ]
    )


def provenance(content: ReportContent, width: float) -> Block:
    """Return what made this report, so that it can be made again."""
    model = content.model
    revision = f"{content.revision}" + (f" (supersedes {content.revision - 1})" if content.revision > 1 else "")
    rows: list[list[tuple[str, str | None, float]]] = [
        [("Study", content.study, 3.4), ("Revision", revision, 1.2)],
        [
            ("Model version", model.version, 1.6),
            ("Engine", model.engine, 1.6),
            ("Software", content.software_version, 1.4),
        ],
        [("Weights, SHA-256", model.weights_sha256, 1.0)],
        [("Received", utc(content.received_at), 1.0), ("Reported", utc(content.reported_at), 1.0)],
    ]
    return stack([facts(row, width) for row in rows], gap=5)
