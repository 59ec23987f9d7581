"""The audit's figures as tables of text, the same for the terminal and the page."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.audit_duplicates import ExactGroups
from trainer.audit_findings import MEANINGS, Slug
from trainer.audit_results import Audit
from trainer.audit_statistics import ClassStatistics, SizeStatistics, Spread
from trainer.labels import Split
from trainer.leakage import LOOK_ALIKE_DISTANCE
from trainer.runtime.records import CLASSES


@dataclass(frozen=True)
class TextTable:
    """A table; `text_columns`, by place, hold words, the others numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: tuple[int, ...] = (0,)

    def is_number(self, column: int) -> bool:
        """Is the column set to the right?"""
        return column not in self.text_columns


def _spread(spread: Spread | None, digits: int, percent: bool = False) -> str:
    """Median and range."""
    if spread is None:
        return "-"
    scale, unit = (100, " %") if percent else (1, "")
    middle, low, high = (f"{value * scale:.{digits}f}" for value in (spread.median, spread.minimum, spread.maximum))
    return f"{middle} ({low} to {high}){unit}"


def _mean(spread: Spread | None) -> str:
    return f"{spread.mean:.1f} ({spread.minimum:.0f} to {spread.maximum:.0f})" if spread else "-"


def findings_table(audit: Audit) -> TextTable:
    """How many findings of each kind, and how grave."""
    counts = Counter((finding.slug, finding.severity) for finding in audit.findings)
    rows = [
        (slug.value, severity.value, f"{counts[slug, severity]:,}", MEANINGS[slug])
        for slug, severity in sorted(counts, key=lambda key: (list(Slug).index(key[0]), key[1] == "note"))
    ]
    return TextTable("Findings", ("kind", "severity", "number", "what"), tuple(rows), text_columns=(0, 1, 3))


def class_table(audit: Audit) -> TextTable:
    """Images and label lines of each folder."""
    headings = (
        "folder",
        "images",
        "with boxes",
        *(f"{i} {label}" for i, label in enumerate(CLASSES)),
        "glands",
        "most",
    )
    rows = tuple(
        (
            f"{one.split}/{one.tumor_class}",
            f"{one.images:,}",
            f"{one.with_boxes:,}",
            *(f"{count:,}" for count in one.lines),
            str(one.glands),
            str(one.most_lines),
        )
        for one in audit.statistics.classes
    )
    return TextTable("Images, and label lines by class index", headings, rows)


def box_table(audit: Audit) -> TextTable:
    """Sizes and places of the boxes of each folder."""
    rows = tuple(
        (
            f"{one.split}/{one.tumor_class}",
            _spread(one.box_area, 2, percent=True),
            _spread(one.box_centre_x, 2),
            _spread(one.box_centre_y, 2),
        )
        for one in audit.statistics.classes
    )
    headings = ("folder", "area of the image", "centre x", "centre y")
    return TextTable("Lesion boxes (No Tumor: whole head), median (range)", headings, rows)


def intensity_table(audit: Audit) -> TextTable:
    """Brightness of each folder, mean over its images."""
    rows = tuple(
        (f"{one.split}/{one.tumor_class}", _mean(one.mean_intensity), _mean(one.deviation), _black(one))
        for one in audit.statistics.classes
    )
    headings = ("folder", "mean grey value", "standard deviation", "black background")
    return TextTable("Intensity (0 to 255), mean over the images (range)", headings, rows)


def _black(one: ClassStatistics) -> str:
    return f"{one.black_share.mean:.0%}" if one.black_share else "-"


def shortcut_table(audit: Audit) -> TextTable:
    """How well single numbers tell tumour from no tumour."""
    rows = tuple((one.quantity, f"{one.auc:.3f}", one.higher_in) for one in audit.statistics.shortcuts)
    return TextTable("Tumour or not from one number (AUC; 0.5 tells nothing)", ("number", "AUC", "higher in"), rows)


def duplicate_table(audit: Audit) -> TextTable:
    """Groups of equal files and look-alikes."""
    found = audit.duplicates.statistics
    kinds: list[tuple[str, ExactGroups | None]] = [
        ("equal bytes", found.by_file),
        ("equal pixels", found.by_pixels),
        ("equal originals (originals.csv)", found.by_original),
    ]
    leakage = audit.duplicates.leakage
    exact = [
        (name, f"{one.groups:,}", f"{one.files:,}", f"{one.surplus:,}", f"{one.val_in_train:,}" if leakage else "-")
        for name, one in kinds
        if one
    ]
    look_alikes = (
        f"look-alikes (within {LOOK_ALIKE_DISTANCE} of 64 bits)",
        f"{found.look_alike_groups:,}",
        f"{found.look_alike_files:,}",
        f"{found.look_alike_files - found.look_alike_groups:,}",
        f"{leakage.look_alike:,}" if leakage else "-",
    )
    headings = ("the same picture", "groups", "files", "beyond one a group", "Val files also in Train")
    return TextTable(f"Duplicates (files in the largest group: {found.largest_group})", headings, (*exact, look_alikes))


def size_table(audit: Audit) -> TextTable:
    """Sizes, modes and formats of the files, and of the originals where they are known."""
    found = audit.statistics
    named = [("files at hand", found.files), ("originals (originals.csv)", found.originals)]
    rows = tuple((name, *_size_cells(sizes)) for name, sizes in named if sizes)
    headings = ("", "sizes", "commonest", "width", "height", "modes", "formats")
    return TextTable(
        "Sizes (pixels, median and range), modes, content types", headings, rows, text_columns=(0, 2, 5, 6)
    )


def _size_cells(sizes: SizeStatistics) -> tuple[str, ...]:
    (commonest, count), *_ = [*sizes.commonest_sizes.items(), ("-", 0)]
    return (
        str(sizes.different_sizes),
        f"{commonest}: {count:,}",
        _spread(sizes.width, 0),
        _spread(sizes.height, 0),
        _counts(sizes.modes),
        _counts(sizes.formats),
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def mode_table(audit: Audit) -> TextTable:
    """Modes of each class: a mode that only one class has is a shortcut too."""
    sizes = audit.statistics.originals or audit.statistics.files
    rows = tuple((name, _counts(counts)) for name, counts in sizes.modes_by_class.items())
    return TextTable("Modes by class", ("class", "images"), rows, text_columns=(0, 1))


def gland_table(audit: Audit) -> TextTable:
    """Lines of the normal gland and ambiguous files by folder and split."""
    rows = []
    for tumor_class in CLASSES:
        for split in Split:
            files = [f for f in audit.findings if f.file.startswith(f"{split}/{tumor_class}/")]
            glands = [finding.file for finding in files if finding.slug is Slug.GLAND]
            ambiguous = sum(finding.slug is Slug.AMBIGUOUS for finding in files)
            if glands:
                rows.append((f"{split}/{tumor_class}", str(len(glands)), str(len(set(glands))), str(ambiguous)))
    headings = ("folder", "gland lines", "images", "gland as only box (ambiguous)")
    return TextTable("Normal glands: class 3 outside Pituitary", headings, tuple(rows))


def leakage_sentence(audit: Audit) -> str | None:
    """What of Val stands in Train, in words; `None` where there is only one split."""
    leakage = audit.duplicates.leakage
    if leakage is None:
        return None
    return (
        f"Of {leakage.val:,} Val images {leakage.same_pixels:,} stand in Train pixel for pixel, {leakage.distance_0:,} "
        f"have a twin there with an equal perceptual hash, {leakage.look_alike:,} a look-alike within "
        f"{LOOK_ALIKE_DISTANCE} of 64 bits and {leakage.wider:,} within 8, mirror images counted. "
        f"{leakage.train_look_alikes:,} Train images look like a Val image."
    )


def tables(audit: Audit) -> Iterator[TextTable]:
    """All tables that have rows, findings first."""
    made = [findings_table(audit), duplicate_table(audit), class_table(audit), gland_table(audit), box_table(audit)]
    made += [size_table(audit), mode_table(audit), intensity_table(audit), shortcut_table(audit)]
    return (table for table in made if table.rows)
