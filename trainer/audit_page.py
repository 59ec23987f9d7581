"""audit.html: one page with the figures and pictures of the worst. It opens offline and loads nothing."""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from trainer.audit_files import ORIGINALS
from trainer.audit_pictures import LEGEND, SIDE, Gallery, draw_galleries
from trainer.audit_results import Audit
from trainer.audit_tables import (
    TextTable,
    box_table,
    class_table,
    duplicate_table,
    findings_table,
    gland_table,
    intensity_table,
    leakage_sentence,
    mode_table,
    shortcut_table,
    size_table,
)

PAGE = "audit.html"


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page and what it counts."""

    number: str
    words: str


@dataclass(frozen=True)
class Section:
    """A heading with tables and remarks below them."""

    title: str
    tables: tuple[TextTable, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """What the template shows; text is text: the template escapes it."""

    data: str
    written: str
    side: int
    remarks: tuple[str, ...]
    tiles: tuple[Tile, ...]
    findings: TextTable
    sections: tuple[Section, ...]
    legend: tuple[tuple[str, str], ...]
    galleries: tuple[Gallery, ...]


def remarks(audit: Audit) -> tuple[str, ...]:
    """What to know about the folder before reading on."""
    found = []
    if audit.files.has_originals:
        found.append(
            f"{ORIGINALS} lies beside the data: sums, sizes and modes of the original files come from it and stand "
            "next to those of the files at hand."
        )
    if not audit.files.has_labels:
        found.append("A folder of loose images: no classes, no labels and no splits to check.")
    return tuple(found)


def _tiles(audit: Audit) -> tuple[Tile, ...]:
    duplicates, leakage = audit.duplicates.statistics, audit.duplicates.leakage
    exact = duplicates.by_original or duplicates.by_pixels
    tiles = [
        Tile(f"{len(audit.files.images):,}", "images"),
        Tile(f"{audit.warnings:,}", "warnings"),
        Tile(f"{len(audit.findings) - audit.warnings:,}", "notes"),
        Tile(f"{exact.groups:,}", "groups of exact duplicates" + (" (originals)" if duplicates.by_original else "")),
    ]
    if leakage:
        tiles.append(Tile(f"{leakage.look_alike:,} of {leakage.val:,}", "Val images with a look-alike in Train"))
    return tuple(tiles)


def _section(title: str, tables: tuple[TextTable, ...], remark: str | None = None) -> Section:
    return Section(title, tuple(table for table in tables if table.rows), (remark,) if remark else ())


def page_of(audit: Audit) -> Page:
    """Assemble the page, with its pictures."""
    sections = (
        _section("Duplicates and leakage", (duplicate_table(audit),), leakage_sentence(audit)),
        _section("Classes and boxes", (class_table(audit), gland_table(audit), box_table(audit))),
        _section("Sizes and modes", (size_table(audit), mode_table(audit))),
        _section("The shortcut", (intensity_table(audit), shortcut_table(audit)), SHORTCUT),
    )
    return Page(
        data=str(audit.data),
        written=f"{audit.written:%Y-%m-%d %H:%M} UTC",
        side=SIDE,
        remarks=remarks(audit),
        tiles=_tiles(audit),
        findings=findings_table(audit),
        sections=tuple(section for section in sections if section.tables),
        legend=LEGEND,
        galleries=draw_galleries(audit.findings, audit.files.images),
    )


SHORTCUT = (
    "A network can learn what these numbers tell without looking at a lesion. The further an AUC is from 0.5, the less "
    "an accuracy on images of the same sources says."
)


def write_page(audit: Audit, path: Path) -> None:
    """Write the page beside `path` and rename, so that no reader sees half of it."""
    environment = Environment(
        loader=PackageLoader("trainer"), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(environment.get_template(PAGE).render(page=page_of(audit)), encoding="utf-8")
    temporary.replace(path)
