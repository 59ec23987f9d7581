"""The pictures of the audit's page: thumbnails with their boxes, as JPEG inside the page."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw

from trainer.audit_files import AuditedImage
from trainer.audit_findings import Finding, Slug
from trainer.grey import decode
from trainer.label_check import is_gland
from trainer.labels import MalformedLine
from trainer.runtime.records import CLASSES, TumorClass

SIDE = 168
"""Long side of a thumbnail, pixels."""
QUALITY = 80
BOX_COLOURS = {  # Okabe and Ito 2008: told apart by colour-blind readers as well
    TumorClass.GLIOMA: "#E69F00",
    TumorClass.MENINGIOMA: "#56B4E9",
    TumorClass.NO_TUMOR: "#999999",
    TumorClass.PITUITARY: "#F0E442",
}
GLAND_COLOUR = "#CC79A7"
LEGEND: tuple[tuple[str, str], ...] = (
    *((f"{label} (whole head)" if label is TumorClass.NO_TUMOR else label, BOX_COLOURS[label]) for label in CLASSES),
    ("normal gland (class 3 outside Pituitary)", GLAND_COLOUR),
)
MOST_CARDS = 12
MOST_PICTURES = 3
"""Pictures of one card: the file a finding is about, and the first of the others."""

FROM_NEAR_TO_FAR = frozenset({Slug.LEAK_COPY, Slug.LEAK_LOOK_ALIKE, Slug.DUPLICATES, Slug.LOOK_ALIKES, Slug.GLAND})
"""Kinds with hundreds of findings alike: examples are taken evenly from all. Of the others the first, the worst."""

GALLERIES: tuple[tuple[str, tuple[Slug, ...]], ...] = (
    ("Val images that stand in Train", (Slug.LEAK_COPY,)),
    ("Val images with a look-alike in Train, from near to far", (Slug.LEAK_LOOK_ALIKE,)),
    ("The same pixels under different classes", (Slug.CLASS_CONFLICT,)),
    ("Look-alikes under different classes", (Slug.LOOK_ALIKE_CLASS_CONFLICT,)),
    ("The same pixels with boxes in other places, worst first", (Slug.LABEL_CONFLICT,)),
    ("A class-3 box outside Pituitary as the only one: gland, or tumour of another kind?", (Slug.AMBIGUOUS,)),
    ("Labels of another class than the folder", (Slug.CLASS_NOT_FOLDER,)),
    ("Label files missing, empty or without a lesion", (Slug.LABEL_MISSING, Slug.LABEL_EMPTY, Slug.NO_LESION_BOX)),
    (
        "Label lines that cannot be used",
        (Slug.LABEL_UNREADABLE, *(Slug(malformed.value) for malformed in MalformedLine)),
    ),
    (
        "Odd boxes",
        (Slug.BOX_COVERS_HEAD, Slug.BOX_OVER_BORDER, Slug.BOX_TINY, Slug.BOX_REPEATED, Slug.BOXES_COINCIDE),
    ),
    (
        "Files that are not what they seem",
        (Slug.NOT_AN_IMAGE, Slug.UNREADABLE, Slug.CONTENT_TYPE, Slug.MODE, Slug.FRAMES, Slug.BLANK),
    ),
    ("Originals that were not what they seemed", (Slug.ORIGINAL_CONTENT_TYPE,)),
    ("No Tumor boxes that do not cover the head", (Slug.SMALL_HEAD_BOX,)),
    ("Examples of the normal gland", (Slug.GLAND,)),
    ("Repeats within a split", (Slug.DUPLICATES,)),
    ("Look-alikes within a split", (Slug.LOOK_ALIKES,)),
)
"""Titles and kinds, in the order of the page."""


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a `data:` address, `None` where the file cannot be shown."""

    folder: str
    name: str
    uri: str | None

    @classmethod
    def of(cls, image: AuditedImage) -> "Picture":
        """Draw it."""
        folder, _, name = image.file.replace("/images/", "/").rpartition("/")
        return cls(folder, name, thumbnail(image))


@dataclass(frozen=True)
class Card:
    """Pictures side by side and what is to be said about them."""

    pictures: tuple[Picture, ...]
    sentence: str


@dataclass(frozen=True)
class Gallery:
    """Cards under a title; `shown` says how many of how many."""

    title: str
    shown: str
    cards: tuple[Card, ...]


def thumbnail(image: AuditedImage) -> str | None:
    """The picture as the trainer reads it, with its boxes, as a `data:` address."""
    if image.facts is None:
        return None
    grey = decode(image.path.read_bytes()).grey
    scale = SIDE / max(grey.size)
    size = max(1, round(grey.width * scale)), max(1, round(grey.height * scale))
    picture = grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).convert("RGB")
    _draw_boxes(picture, image)
    encoded = BytesIO()
    picture.save(encoded, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _draw_boxes(picture: Image.Image, image: AuditedImage) -> None:
    pen = ImageDraw.Draw(picture)
    right, bottom = picture.width - 1, picture.height - 1
    for line in image.lines:
        gland = image.tumor_class is not None and is_gland(line, image.tumor_class)
        x1, y1, x2, y2 = line.xyxy()
        corners = (max(x1, 0.0) * right, max(y1, 0.0) * bottom, min(x2, 1.0) * right, min(y2, 1.0) * bottom)
        pen.rectangle(corners, outline=GLAND_COLOUR if gland else BOX_COLOURS[CLASSES[line.class_index]], width=2)


def draw_galleries(findings: Sequence[Finding], images: Sequence[AuditedImage]) -> tuple[Gallery, ...]:
    """One gallery for each kind of trouble that was found, and the darkest and brightest picture of each class."""
    by_file = {image.file: image for image in images}
    drawn = []
    for title, slugs in GALLERIES:
        mine = [finding for finding in findings if finding.slug in slugs and finding.file in by_file]
        if mine:
            picked = _pick_evenly(mine) if slugs[0] in FROM_NEAR_TO_FAR else mine[:MOST_CARDS]
            cards = tuple(_card(finding, by_file) for finding in picked)
            drawn.append(Gallery(title, f"{len(picked)} of {len(mine)}", cards))
    return (*drawn, _extremes(images))


def _pick_evenly(findings: Sequence[Finding]) -> list[Finding]:
    if len(findings) <= MOST_CARDS:
        return list(findings)
    step = (len(findings) - 1) / (MOST_CARDS - 1)
    return [findings[round(place * step)] for place in range(MOST_CARDS)]


def _card(finding: Finding, by_file: Mapping[str, AuditedImage]) -> Card:
    files = [file for file in (finding.file, *finding.others) if file in by_file][:MOST_PICTURES]
    pictures = tuple(Picture.of(by_file[file]) for file in files)
    place = f"Line {finding.line}: " if finding.line else ""
    left = 1 + len(finding.others) - len(files)
    return Card(pictures, f"{place}{finding.sentence}" + (f" (and {left} more)" if left > 0 else ""))


def _extremes(images: Sequence[AuditedImage]) -> Gallery:
    """The darkest and the brightest picture of each class, side by side."""
    cards = []
    for tumor_class in (*CLASSES, None):
        measured = [(image.facts.mean, image) for image in images if image.facts and image.tumor_class is tumor_class]
        if measured:
            ends = (min(measured, key=lambda one: one[0]), max(measured, key=lambda one: one[0]))
            pictures = tuple(Picture.of(image) for _, image in ends)
            sentence = f"{tumor_class or 'all'}: mean grey value {ends[0][0]:.0f} and {ends[1][0]:.0f} of 255"
            cards.append(Card(pictures, sentence))
    return Gallery("Darkest and brightest", "of each class", tuple(cards))
