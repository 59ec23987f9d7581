"""What is wrong with one label file, line by line. Pure: text in, findings out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from trainer.audit_findings import Finding, Slug, note, warning
from trainer.labels import (
    PITUITARY_LABEL,
    LabelLine,
    LabelLineError,
    numbered_lines,
    parse_label_line,
)
from trainer.runtime.records import CLASSES, NO_TUMOR_INDEX, TumorClass

BORDER_TOLERANCE = 1e-3
"""How far a box may reach over the border, of the image's side: half a pixel of 512. Six decimals round to 1e-6."""
TINY_SIDE = 1 / 64
"""Boxes with a shorter side, of the image's: 3.5 pixels at the network's 224, less than half its finest stride."""
WHOLE_HEAD_AREA = 0.5
"""Lesion boxes of a larger area, of the image's: the largest published lesion box has 0.18."""
SMALL_HEAD_AREA = 0.25
"""No Tumor boxes of a smaller area do not cover the head."""
COINCIDE_IOU = 0.8
"""Two boxes of one file that overlap more than this mark the same thing."""

NumberedLine = tuple[int, LabelLine]


@dataclass(frozen=True)
class LabelCheck:
    """A label file's valid lines, and what was found in it."""

    lines: tuple[LabelLine, ...]
    findings: tuple[Finding, ...]


def box_iou(a: LabelLine, b: LabelLine) -> float:
    """Intersection over union of two boxes, 0..1."""
    a_x1, a_y1, a_x2, a_y2 = a.xyxy()
    b_x1, b_y1, b_x2, b_y2 = b.xyxy()
    width, height = min(a_x2, b_x2) - max(a_x1, b_x1), min(a_y2, b_y2) - max(a_y1, b_y1)
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    return intersection / (a.width * a.height + b.width * b.height - intersection)


def is_gland(line: LabelLine, tumor_class: TumorClass) -> bool:
    """A class-3 box outside the Pituitary folder is a normal pituitary gland (docs/data.md)."""
    return line.class_index == PITUITARY_LABEL and tumor_class is not TumorClass.PITUITARY


def is_lesion(line: LabelLine, tumor_class: TumorClass) -> bool:
    """Does the box mark a tumour? Not in No Tumor, not a whole head, not a gland: as `trainer.labels.lesions_of`."""
    whole_head = line.class_index == NO_TUMOR_INDEX
    return tumor_class is not TumorClass.NO_TUMOR and not whole_head and not is_gland(line, tumor_class)


def check_label_file(path: Path, file: str, tumor_class: TumorClass) -> LabelCheck:
    """Read and judge the label file of an image.

    Args:
        path: of the label file.
        file: name of the image or its label file for the findings, relative to the data folder.
        tumor_class: the image's folder.
    """
    if not path.exists():
        return LabelCheck((), (_without_lines(Slug.LABEL_MISSING, file, "has no label file", tumor_class),))
    try:
        numbered = numbered_lines(path)
    except OSError as error:
        sentence = f"the label file cannot be read: {error.strerror}"
        return LabelCheck((), (warning(Slug.LABEL_UNREADABLE, file, sentence),))
    if not numbered:
        return LabelCheck((), (_without_lines(Slug.LABEL_EMPTY, file, "has an empty label file", tumor_class),))
    valid, malformed = _parse(numbered, file)
    found = [*malformed, *_check_lines(valid, file, tumor_class), *_check_pairs(valid, file)]
    lines = tuple(line for _, line in valid)
    found.extend(_check_for_lesion(lines, file, tumor_class))
    return LabelCheck(lines, tuple(found))


def _without_lines(slug: Slug, file: str, what: str, tumor_class: TumorClass) -> Finding:
    if tumor_class is TumorClass.NO_TUMOR:
        return note(slug, file, f"{what}; a No Tumor image needs none")
    return warning(slug, file, f"{what}: its tumour is unmarked, only its class is learnt")


def _parse(numbered: Sequence[tuple[int, str]], file: str) -> tuple[list[NumberedLine], list[Finding]]:
    valid: list[NumberedLine] = []
    malformed = []
    for number, text in numbered:
        try:
            valid.append((number, parse_label_line(text)))
        except LabelLineError as error:
            malformed.append(warning(Slug(error.slug.value), file, f"{error}; the line is left out", number))
    return valid, malformed


def _check_lines(numbered: Sequence[NumberedLine], file: str, tumor_class: TumorClass) -> Iterator[Finding]:
    for number, line in numbered:
        yield from _check_place(line, file, number)
        if is_gland(line, tumor_class):
            yield note(Slug.GLAND, file, f"a box of the normal gland in {tumor_class}: learnt as gland", number)
        else:
            yield from _check_class(line, file, number, tumor_class)


def _check_place(line: LabelLine, file: str, number: int) -> Iterator[Finding]:
    x1, y1, x2, y2 = line.xyxy()
    over = max(-x1, -y1, x2 - 1, y2 - 1)
    if over > BORDER_TOLERANCE:
        yield warning(Slug.BOX_OVER_BORDER, file, f"the box reaches {over:.1%} of the side over the border", number)
    if min(line.width, line.height) < TINY_SIDE:
        size = f"{line.width:.2%} × {line.height:.2%}"
        yield warning(Slug.BOX_TINY, file, f"the box is tiny: {size} of the image", number)


def _check_class(line: LabelLine, file: str, number: int, tumor_class: TumorClass) -> Iterator[Finding]:
    label, area = CLASSES[line.class_index], line.width * line.height
    if label is not tumor_class:
        taken = f"learnt as {label}" if is_lesion(line, tumor_class) else "left out"
        sentence = f"class {line.class_index} ({label}) in the folder {tumor_class}: the box is {taken}"
        yield warning(Slug.CLASS_NOT_FOLDER, file, sentence, number)
    if is_lesion(line, tumor_class) and area > WHOLE_HEAD_AREA:
        yield warning(Slug.BOX_COVERS_HEAD, file, f"a {label} box covers {area:.0%} of the image", number)
    if tumor_class is label is TumorClass.NO_TUMOR and area < SMALL_HEAD_AREA:
        yield note(Slug.SMALL_HEAD_BOX, file, f"the whole-head box covers {area:.0%} of the image", number)


def _check_pairs(numbered: Sequence[NumberedLine], file: str) -> Iterator[Finding]:
    for (first, a), (second, b) in combinations(numbered, 2):
        if a == b:
            yield warning(Slug.BOX_REPEATED, file, f"repeats line {first}", second)
        elif (overlap := box_iou(a, b)) >= COINCIDE_IOU:
            classes = f"{CLASSES[a.class_index]} and {CLASSES[b.class_index]}"
            sentence = f"the box lies on that of line {first} (IoU {overlap:.2f}; {classes})"
            yield warning(Slug.BOXES_COINCIDE, file, sentence, second)


def _check_for_lesion(lines: Sequence[LabelLine], file: str, tumor_class: TumorClass) -> Iterator[Finding]:
    if tumor_class is TumorClass.NO_TUMOR or any(is_lesion(line, tumor_class) for line in lines):
        return
    if any(is_gland(line, tumor_class) for line in lines):
        sentence = "class 3 is all that is boxed: a normal gland, or the tumour under a wrong class? No box is learnt"
        yield warning(Slug.AMBIGUOUS, file, sentence)
    else:
        yield warning(Slug.NO_LESION_BOX, file, "no valid line marks the tumour: only its class is learnt")
