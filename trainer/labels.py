"""The data set's folders and YOLO label files, and what its boxes mean (docs/data.md).

Layout: `{Train,Val}/{Glioma,Meningioma,No Tumor,Pituitary}/{images,labels}`. The folder is the image's class.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from trainer.runtime.records import CLASSES, GLAND_CHANNEL, LESION_CLASSES, FloatArray, TumorClass

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
PITUITARY_LABEL = CLASSES.index(TumorClass.PITUITARY)
COORDINATES = ("centre x", "centre y", "width", "height")


class Split(StrEnum):
    """The two folders of the published data set."""

    TRAIN = "Train"
    VAL = "Val"


class DatasetError(Exception):
    """The data folder is not what the trainer needs; the message says what to do."""


class MalformedLine(StrEnum):
    """Why a label line cannot be used; slugs of the audit (`trainer.audit_findings`)."""

    NOT_TEXT = "label-not-text"
    FIELD_COUNT = "label-field-count"
    NOT_A_NUMBER = "label-not-a-number"
    NOT_FINITE = "label-not-finite"
    UNKNOWN_CLASS = "label-unknown-class"
    OUT_OF_RANGE = "label-out-of-range"
    NO_SIZE = "label-no-size"


class LabelLineError(ValueError):
    """A label line that cannot be used: `slug` for programs, the message for people."""

    def __init__(self, slug: MalformedLine, message: str) -> None:
        super().__init__(message)
        self.slug = slug


@dataclass(frozen=True)
class LabelLine:
    """One YOLO line: class index 0..3 and a box, normalised to the image: centre x, centre y, width, height."""

    class_index: int
    centre_x: float
    centre_y: float
    width: float
    height: float

    def xyxy(self) -> tuple[float, float, float, float]:
        """Corners, normalised to 0..1."""
        return (
            self.centre_x - self.width / 2,
            self.centre_y - self.height / 2,
            self.centre_x + self.width / 2,
            self.centre_y + self.height / 2,
        )


@dataclass(frozen=True)
class Sample:
    """One image of the data set. `name` is `Glioma/images/x.jpg`, relative to its split."""

    split: Split
    name: str
    image_path: Path
    label_path: Path
    tumor_class: TumorClass
    lines: tuple[LabelLine, ...]

    @property
    def class_index(self) -> int:
        """Index into `CLASSES`; the folder decides, not the label file."""
        return CLASSES.index(self.tumor_class)


@dataclass(frozen=True)
class Lesions:
    """What the boxes of a sample teach.

    Attributes:
        xyxy: `(n, 4)` float32, normalised to 0..1.
        channels: `(n,)` int64, index into `LESION_CLASSES`, or `GLAND_CHANNEL` for a normal gland.
        complete: False when the image shows a tumour that has no box: then nothing may be learnt from "no box here".
    """

    xyxy: FloatArray
    channels: np.ndarray
    complete: bool


def parse_label_line(line: str) -> LabelLine:
    """Read one YOLO line.

    Raises:
        LabelLineError: not five numbers, an unknown class, or a box outside the image; says which.
    """
    if "\N{REPLACEMENT CHARACTER}" in line:
        raise LabelLineError(MalformedLine.NOT_TEXT, "holds bytes that are not UTF-8 text")
    fields = line.split()
    if len(fields) != 5:
        raise LabelLineError(MalformedLine.FIELD_COUNT, f"{len(fields)} fields instead of 5")
    class_index = _class_index(fields[0])
    numbers = [_coordinate(name, field) for name, field in zip(COORDINATES, fields[1:], strict=True)]
    for name, number in zip(COORDINATES[2:], numbers[2:], strict=True):
        if number <= 0:
            raise LabelLineError(MalformedLine.NO_SIZE, f"the box has no {name} ({number:g})")
    return LabelLine(class_index, *numbers)


def _class_index(field: str) -> int:
    try:
        class_index = int(field)
    except ValueError as error:
        raise LabelLineError(MalformedLine.NOT_A_NUMBER, f"class {field!r} is no whole number") from error
    if not 0 <= class_index < len(CLASSES):
        raise LabelLineError(MalformedLine.UNKNOWN_CLASS, f"class {class_index} is not 0 to {len(CLASSES) - 1}")
    return class_index


def _coordinate(name: str, field: str) -> float:
    try:
        number = float(field)
    except ValueError as error:
        raise LabelLineError(MalformedLine.NOT_A_NUMBER, f"{name} {field!r} is no number") from error
    if not math.isfinite(number):
        raise LabelLineError(MalformedLine.NOT_FINITE, f"{name} is {field}")
    if not 0.0 <= number <= 1.0:
        raise LabelLineError(MalformedLine.OUT_OF_RANGE, f"{name} {field} is not within 0 and 1")
    return number


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Lines of a label file that are not blank, numbered from 1.

    Bytes that are not UTF-8 become U+FFFD, which `parse_label_line` refuses: they cost their own line only.

    Raises:
        OSError: it cannot be read.
    """
    text = path.read_bytes().decode("utf-8-sig", errors="replace")  # -sig: editors on Windows put a mark in front
    return [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def read_label_file(path: Path) -> tuple[LabelLine, ...]:
    """All valid lines of a label file; none when it is missing. Invalid lines are logged with their place."""
    if not path.is_file():
        return ()
    lines = []
    for number, text in numbered_lines(path):
        try:
            lines.append(parse_label_line(text))
        except LabelLineError as error:
            logger.warning("%s line %d is left out: %s", path, number, error)
    return tuple(lines)


def lesions_of(sample: Sample) -> Lesions:
    """Apply the box rules.

    "No Tumor" boxes cover the whole head and are no lesions. A class-3 box outside the Pituitary folder is a normal
    gland; where it is a tumour image's only box, the tumour itself is unmarked and `complete` is False.
    """
    boxes: list[tuple[float, float, float, float]] = []
    channels: list[int] = []
    for line in sample.lines:
        label = CLASSES[line.class_index]
        if line.class_index == PITUITARY_LABEL and sample.tumor_class is not TumorClass.PITUITARY:
            boxes.append(line.xyxy())
            channels.append(GLAND_CHANNEL)
        elif label in LESION_CLASSES and sample.tumor_class is not TumorClass.NO_TUMOR:
            boxes.append(line.xyxy())
            channels.append(LESION_CLASSES.index(label))
    has_lesion = any(channel != GLAND_CHANNEL for channel in channels)
    return Lesions(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(channels, np.int64),
        complete=has_lesion or sample.tumor_class is TumorClass.NO_TUMOR,
    )


def label_path_of(image_path: Path) -> Path:
    """Where the label file of `<class>/images/x.jpg` belongs: `<class>/labels/x.txt`."""
    return image_path.parent.with_name("labels") / f"{image_path.stem}.txt"


def _samples_of_class(data: Path, split: Split, tumor_class: TumorClass) -> Iterator[Sample]:
    images = data / split / tumor_class / "images"
    if not images.is_dir():
        raise DatasetError(
            f"{images} is missing: --data must name a folder holding Train/ and Val/, each with one folder a class "
            f"({', '.join(CLASSES)}) that holds images/ and labels/."
        )
    for path in sorted(images.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            label_path = label_path_of(path)
            name = f"{tumor_class}/images/{path.name}"
            yield Sample(split, name, path, label_path, tumor_class, read_label_file(label_path))


def list_samples(data: Path, split: Split) -> list[Sample]:
    """Every image of a split, sorted by class and name.

    Raises:
        DatasetError: a folder is missing or holds no image.
    """
    samples = [sample for tumor_class in CLASSES for sample in _samples_of_class(data, split, tumor_class)]
    if not samples:
        raise DatasetError(f"{data / split} holds no image (looked for {', '.join(sorted(IMAGE_SUFFIXES))}).")
    return samples


def first_of_each_class(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` samples of every class, in their order; all without a limit."""
    taken: Counter[TumorClass] = Counter()
    kept = []
    for sample in samples:
        taken[sample.tumor_class] += 1
        if limit is None or taken[sample.tumor_class] <= limit:
            kept.append(sample)
    return kept
