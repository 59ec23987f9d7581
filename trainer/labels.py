"""The data set's folders and YOLO label files, and what its boxes mean (docs/data.md).

Layout: `{Train,Val}/{Glioma,Meningioma,No Tumor,Pituitary}/{images,labels}`. The folder is the image's class.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from trainer.runtime.records import CLASSES, GLAND_CHANNEL, LESION_CLASSES, FloatArray, TumorClass

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
PITUITARY_LABEL = CLASSES.index(TumorClass.PITUITARY)


class Split(StrEnum):
    """The two folders of the published data set."""

    TRAIN = "Train"
    VAL = "Val"


class DatasetError(Exception):
    """The data folder is not what the trainer needs; the message says what to do."""


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
        ValueError: not five numbers, an unknown class, or a box outside the image.
    """
    fields = line.split()
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields instead of 5")
    class_index, *numbers = int(fields[0]), *(float(field) for field in fields[1:])
    if not 0 <= class_index < len(CLASSES):
        raise ValueError(f"class {class_index} is not 0 to {len(CLASSES) - 1}")
    if not all(0.0 <= number <= 1.0 for number in numbers) or min(numbers[2:]) <= 0:
        raise ValueError("box coordinates are not within 0 and 1")
    return LabelLine(class_index, *numbers)


def read_label_file(path: Path) -> tuple[LabelLine, ...]:
    """All valid lines of a label file; none when it is missing. Invalid lines are logged with their place."""
    if not path.is_file():
        return ()
    lines = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        if not text.strip():
            continue
        try:
            lines.append(parse_label_line(text))
        except ValueError as error:
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


def _samples_of_class(data: Path, split: Split, tumor_class: TumorClass) -> Iterator[Sample]:
    images = data / split / tumor_class / "images"
    if not images.is_dir():
        raise DatasetError(
            f"{images} is missing: --data must name a folder holding Train/ and Val/, each with one folder a class "
            f"({', '.join(CLASSES)}) that holds images/ and labels/."
        )
    for path in sorted(images.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            label_path = data / split / tumor_class / "labels" / f"{path.stem}.txt"
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
