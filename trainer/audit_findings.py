"""What the audit can find: one record a finding, with a stable slug for programs and a sentence for people."""

from dataclasses import dataclass
from enum import StrEnum

from trainer.labels import MalformedLine


class Severity(StrEnum):
    """Warnings make `--strict` fail; notes say what is there and how the trainer takes it."""

    WARNING = "warning"
    NOTE = "note"


class Slug(StrEnum):
    """Kinds of finding, in the order of the report. Never renamed: others read them from audit.json."""

    LEAK_COPY = "leak-copy"
    LEAK_LOOK_ALIKE = "leak-look-alike"
    CLASS_CONFLICT = "duplicate-class-conflict"
    LOOK_ALIKE_CLASS_CONFLICT = "look-alike-class-conflict"
    LABEL_CONFLICT = "duplicate-label-conflict"
    LABEL_REDRAWN = "duplicate-label-redrawn"
    DUPLICATES = "duplicates"
    LOOK_ALIKES = "look-alikes"
    FOLDER_MISSING = "folder-missing"
    NOT_AN_IMAGE = "image-not-an-image"
    UNREADABLE = "image-unreadable"
    CONTENT_TYPE = "image-content-type"
    MODE = "image-mode"
    FRAMES = "image-several-frames"
    BLANK = "image-blank"
    LABEL_MISSING = "label-missing"
    LABEL_EMPTY = "label-empty"
    LABEL_UNREADABLE = "label-unreadable"
    NOT_TEXT = MalformedLine.NOT_TEXT.value
    FIELD_COUNT = MalformedLine.FIELD_COUNT.value
    NOT_A_NUMBER = MalformedLine.NOT_A_NUMBER.value
    NOT_FINITE = MalformedLine.NOT_FINITE.value
    UNKNOWN_CLASS = MalformedLine.UNKNOWN_CLASS.value
    OUT_OF_RANGE = MalformedLine.OUT_OF_RANGE.value
    NO_SIZE = MalformedLine.NO_SIZE.value
    BOX_OVER_BORDER = "box-over-border"
    BOX_TINY = "box-tiny"
    BOX_COVERS_HEAD = "box-covers-head"
    BOX_REPEATED = "box-repeated"
    BOXES_COINCIDE = "boxes-coincide"
    CLASS_NOT_FOLDER = "class-not-folder"
    AMBIGUOUS = "ambiguous-gland-only"
    NO_LESION_BOX = "no-lesion-box"
    GLAND = "gland"
    SMALL_HEAD_BOX = "no-tumor-box-small"
    LABEL_SHARED = "label-shared"
    LABEL_WITHOUT_IMAGE = "label-without-image"
    STRAY = "stray-file"
    ORIGINAL_CONTENT_TYPE = "original-content-type"
    ORIGINAL_MODE = "original-mode"
    ORIGINAL_UNKNOWN = "original-unknown"
    ORIGINAL_ABSENT = "original-absent"


MEANINGS: dict[Slug, str] = {
    Slug.LEAK_COPY: "Val images with the same pixels in Train",
    Slug.LEAK_LOOK_ALIKE: "Val images with a look-alike in Train",
    Slug.CLASS_CONFLICT: "the same pixels under different classes",
    Slug.LOOK_ALIKE_CLASS_CONFLICT: "groups of look-alikes under different classes",
    Slug.LABEL_CONFLICT: "the same pixels with boxes in other places",
    Slug.LABEL_REDRAWN: "the same pixels with slightly other boxes",
    Slug.DUPLICATES: "the same pixels several times in one split",
    Slug.LOOK_ALIKES: "groups of look-alikes within one split",
    Slug.FOLDER_MISSING: "folders that are missing",
    Slug.NOT_AN_IMAGE: "files that are no image",
    Slug.UNREADABLE: "images that cannot be decoded",
    Slug.CONTENT_TYPE: "content that is not what the name says",
    Slug.MODE: "images neither grey nor RGB with 8 bits",
    Slug.FRAMES: "images of several frames",
    Slug.BLANK: "blank images",
    Slug.LABEL_MISSING: "images without a label file",
    Slug.LABEL_EMPTY: "empty label files",
    Slug.LABEL_UNREADABLE: "label files that cannot be read",
    Slug.NOT_TEXT: "label lines that are not UTF-8 text",
    Slug.FIELD_COUNT: "label lines without five fields",
    Slug.NOT_A_NUMBER: "label lines with a field that is no number",
    Slug.NOT_FINITE: "label lines with NaN or infinity",
    Slug.UNKNOWN_CLASS: "label lines with an unknown class",
    Slug.OUT_OF_RANGE: "label lines with a number outside 0 to 1",
    Slug.NO_SIZE: "label lines without width or height",
    Slug.BOX_OVER_BORDER: "boxes that reach over the border",
    Slug.BOX_TINY: "tiny boxes",
    Slug.BOX_COVERS_HEAD: "lesion boxes that cover the head",
    Slug.BOX_REPEATED: "label lines that stand twice in a file",
    Slug.BOXES_COINCIDE: "two boxes on the same place",
    Slug.CLASS_NOT_FOLDER: "label lines of another class than the folder",
    Slug.AMBIGUOUS: "tumour images whose only boxes are class 3, outside Pituitary",
    Slug.NO_LESION_BOX: "tumour images without a lesion box",
    Slug.GLAND: "boxes of the normal pituitary gland (class 3 outside Pituitary)",
    Slug.SMALL_HEAD_BOX: "No Tumor boxes that do not cover the head",
    Slug.LABEL_SHARED: "images that share a label file",
    Slug.LABEL_WITHOUT_IMAGE: "label files without an image",
    Slug.STRAY: "files and folders that the trainer passes over",
    Slug.ORIGINAL_CONTENT_TYPE: "originals whose content is not what the name says",
    Slug.ORIGINAL_MODE: "originals neither grey nor RGB with 8 bits",
    Slug.ORIGINAL_UNKNOWN: "images that originals.csv does not list",
    Slug.ORIGINAL_ABSENT: "rows of originals.csv without an image",
}
"""What the findings of a slug are, as a plural, for tables."""


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        slug: its kind.
        severity: warning or note.
        file: path within the data folder, `/` between the parts.
        sentence: what is wrong with it, and what the trainer makes of it where that is not plain.
        line: of the label file, from 1; `None` where the finding is not about one line.
        others: the other files it is about, within the data folder, worst first.
    """

    slug: Slug
    severity: Severity
    file: str
    sentence: str
    line: int | None = None
    others: tuple[str, ...] = ()


def warning(slug: Slug, file: str, sentence: str, line: int | None = None, others: tuple[str, ...] = ()) -> Finding:
    """A finding that makes `--strict` fail."""
    return Finding(slug, Severity.WARNING, file, sentence, line, others)


def note(slug: Slug, file: str, sentence: str, line: int | None = None, others: tuple[str, ...] = ()) -> Finding:
    """A finding that is worth knowing and harms nothing."""
    return Finding(slug, Severity.NOTE, file, sentence, line, others)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Sorted by kind as `Slug` lists them; within a kind as they were found."""
    order = {slug: place for place, slug in enumerate(Slug)}
    return sorted(findings, key=lambda finding: order[finding.slug])
