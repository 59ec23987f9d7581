"""What a data set is made of: classes, boxes, sizes, modes, and how far brightness alone gives the answer away."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import mannwhitneyu

from trainer.audit_files import AuditedFiles, AuditedImage
from trainer.image_check import ImageFacts
from trainer.label_check import is_gland, is_lesion
from trainer.labels import LabelLine, Split
from trainer.runtime.records import CLASSES, TumorClass

COMMON_SIZES = 5
"""So many of the commonest sizes are listed."""


@dataclass(frozen=True)
class Spread:
    """Where the values of a quantity lie."""

    count: int
    mean: float
    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """`None` of no values."""
        array = np.fromiter(values, np.float64)
        if not array.size:
            return None
        middle = float(np.median(array))
        return cls(array.size, float(array.mean()), float(array.min()), middle, float(array.max()))


@dataclass(frozen=True)
class ClassStatistics:
    """One class folder of one split.

    Attributes:
        split: Train or Val.
        tumor_class: the folder.
        images: image files.
        with_boxes: of them, those with at least one valid label line.
        lines: valid label lines by class index 0..3.
        glands: of them, boxes of the normal gland.
        most_lines: valid lines of the image that has most.
        box_area: of boxes that mark a lesion, or the whole head in No Tumor; share of the image's area.
        box_centre_x: their centres, 0 left to 1 right.
        box_centre_y: their centres, 0 top to 1 bottom.
        mean_intensity: mean grey value of each image, 0..255.
        deviation: standard deviation of the grey values of each image, 0..255.
        black_share: share of black background of each image, 0..1.
    """

    split: Split
    tumor_class: TumorClass
    images: int
    with_boxes: int
    lines: tuple[int, ...]
    glands: int
    most_lines: int
    box_area: Spread | None
    box_centre_x: Spread | None
    box_centre_y: Spread | None
    mean_intensity: Spread | None
    deviation: Spread | None
    black_share: Spread | None


@dataclass(frozen=True)
class SizeStatistics:
    """Sizes (width × height, pixels), modes and content types of a set of files, commonest first."""

    different_sizes: int
    commonest_sizes: dict[str, int]
    width: Spread | None
    height: Spread | None
    modes: dict[str, int]
    modes_by_class: dict[str, dict[str, int]]
    formats: dict[str, int]


@dataclass(frozen=True)
class Shortcut:
    """How well one plain number tells tumour from no tumour without looking at a lesion.

    Attributes:
        quantity: what the number is.
        auc: area under the ROC curve, 0.5 tells nothing, 1 everything; never below 0.5.
        higher_in: the side with the higher values.
    """

    quantity: str
    auc: float
    higher_in: str


@dataclass(frozen=True)
class Statistics:
    """Everything counted; `originals` are sizes and modes as originals.csv gives them, `None` without one."""

    classes: tuple[ClassStatistics, ...]
    files: SizeStatistics
    originals: SizeStatistics | None
    shortcuts: tuple[Shortcut, ...]


QUANTITIES: dict[str, Callable[[ImageFacts], float]] = {
    "mean intensity": lambda facts: facts.mean,
    "contrast (standard deviation)": lambda facts: facts.deviation,
    "share of black background": lambda facts: facts.black_share,
}


def count_all(files: AuditedFiles) -> Statistics:
    """Count an audited data folder; loose images have no classes and no shortcut."""
    found = {image.split for image in files.images if image.split}
    pairs = product([split for split in Split if split in found], CLASSES)
    measured = [(image, image.facts) for image in files.images if image.facts]
    originals = [(image, image.original) for image in files.images if image.original]
    return Statistics(
        tuple(_count_class(files.images, split, tumor_class) for split, tumor_class in pairs),
        _count_sizes((image, f.width, f.height, f.mode, f.format) for image, f in measured),
        _count_sizes((image, o.width, o.height, o.mode, o.format) for image, o in originals) if originals else None,
        _find_shortcuts(files.images),
    )


def _count_class(images: Sequence[AuditedImage], split: Split, tumor_class: TumorClass) -> ClassStatistics:
    mine = [image for image in images if image.split is split and image.tumor_class is tumor_class]
    lines = [line for image in mine for line in image.lines]
    own = [line for line in lines if _is_own(line, tumor_class)]
    facts = [image.facts for image in mine if image.facts]
    return ClassStatistics(
        split=split,
        tumor_class=tumor_class,
        images=len(mine),
        with_boxes=sum(bool(image.lines) for image in mine),
        lines=tuple(sum(line.class_index == index for line in lines) for index in range(len(CLASSES))),
        glands=sum(is_gland(line, tumor_class) for line in lines),
        most_lines=max((len(image.lines) for image in mine), default=0),
        box_area=Spread.of(line.width * line.height for line in own),
        box_centre_x=Spread.of(line.centre_x for line in own),
        box_centre_y=Spread.of(line.centre_y for line in own),
        mean_intensity=Spread.of(one.mean for one in facts),
        deviation=Spread.of(one.deviation for one in facts),
        black_share=Spread.of(one.black_share for one in facts),
    )


def _is_own(line: LabelLine, tumor_class: TumorClass) -> bool:
    if tumor_class is TumorClass.NO_TUMOR:
        return CLASSES[line.class_index] is TumorClass.NO_TUMOR
    return is_lesion(line, tumor_class)


def _count_sizes(rows: Iterable[tuple[AuditedImage, int, int, str, str]]) -> SizeStatistics:
    counted = list(rows)
    sizes = Counter(f"{width}×{height}" for _, width, height, _, _ in counted)
    by_class: dict[str, Counter[str]] = {}
    for image, _, _, mode, _ in counted:
        if image.tumor_class:
            by_class.setdefault(image.tumor_class, Counter())[mode] += 1
    return SizeStatistics(
        different_sizes=len(sizes),
        commonest_sizes=dict(sizes.most_common(COMMON_SIZES)),
        width=Spread.of(width for _, width, _, _, _ in counted),
        height=Spread.of(height for _, _, height, _, _ in counted),
        modes=dict(Counter(mode for _, _, _, mode, _ in counted).most_common()),
        modes_by_class={name: dict(counts.most_common()) for name, counts in by_class.items()},
        formats=dict(Counter(image_format for _, _, _, _, image_format in counted).most_common()),
    )


def _find_shortcuts(images: Sequence[AuditedImage]) -> tuple[Shortcut, ...]:
    measured = [(image, image.facts) for image in images if image.facts and image.tumor_class]
    healthy = [facts for image, facts in measured if image.tumor_class is TumorClass.NO_TUMOR]
    tumour = [facts for image, facts in measured if image.tumor_class is not TumorClass.NO_TUMOR]
    if not healthy or not tumour:
        return ()
    return tuple(
        _shortcut(name, [value(facts) for facts in tumour], [value(facts) for facts in healthy])
        for name, value in QUANTITIES.items()
    )


def _shortcut(quantity: str, tumour: Sequence[float], healthy: Sequence[float]) -> Shortcut:
    # the U statistic over the number of pairs is the area under the ROC curve (Mann and Whitney 1947)
    auc = float(mannwhitneyu(tumour, healthy).statistic) / (len(tumour) * len(healthy))
    return Shortcut(quantity, max(auc, 1 - auc), "tumour" if auc >= 0.5 else TumorClass.NO_TUMOR)
