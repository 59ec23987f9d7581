"""How right and how honest a model's answers are: pure functions of arrays. No torch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Interval = tuple[float, float]

ECE_BINS = 15
RESAMPLES = 400
"""Bootstrap resamples: the ends of an interval are then the 10th value from either side."""
SEED = 0
_Z95 = 1.959964


@dataclass(frozen=True)
class ClassScores:
    """Of one class.

    Attributes:
        precision: share of the images called this class that are of it; 0 where none was called so.
        recall: share of its images that were called so; 0 where there are none.
        f1: harmonic mean of the two; 0 where nothing was right.
        precision_ci95: Wilson interval.
        recall_ci95: Wilson interval.
        images: how many are of this class.
    """

    precision: float
    recall: float
    f1: float
    precision_ci95: Interval
    recall_ci95: Interval
    images: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of about the same certainty.

    Attributes:
        low: certainty where the bin begins, 0..1.
        images: how many answers fall into it; never 0.
        right: how many of them are right.
        certainty: their mean certainty.
    """

    low: float
    images: int
    right: int
    certainty: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.images


def wilson_interval(right: int, total: int) -> Interval:
    """95 % interval of a share (Wilson, 1927): honest for small numbers and near 1, where the plain one is not."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = right / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    # exact where the formula is, not a rounding error short of it
    return 0.0 if right == 0 else centre - half, 1.0 if right == total else centre + half


def resamples_of(total: int, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[IntArray]:
    """Draw `total` of `total` images with replacement, `resamples` times: index arrays `(total,)`, the same every time.

    The bootstrap (Efron, 1979) over images. Two statistics over the same draws can be compared.
    """
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield generator.integers(0, total, total)


def group_resamples_of(groups: IntArray, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[IntArray]:
    """Draw whole groups with replacement, as many as there are: index arrays of varying length, the same every time.

    Look-alikes are answered alike, so they count as one observation (cluster bootstrap): drawn one by one they would
    make an interval look narrower than it is.

    Args:
        groups: `(n,)` group number of every image.
        resamples: how many draws.
        seed: of the draws.
    """
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.concatenate([members[group] for group in generator.integers(0, len(members), len(members))])


def percentile_interval(values: Sequence[float | None]) -> Interval | None:
    """95 % interval of a statistic from its values on resamples: the middle 95 % of those that have one.

    Returns:
        `None` when no resample has a value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def confusion_matrix(truth: IntArray, answers: IntArray, classes: int) -> IntArray:
    """Counts `(classes, classes)`: rows are the truth, columns the answers."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, answers), 1)
    return counts


def class_scores(confusion: IntArray) -> list[ClassScores]:
    """Precision, recall and F1 of every class of a confusion matrix."""
    found = []
    for index in range(len(confusion)):
        right, called, present = (
            int(count) for count in (confusion[index, index], confusion[:, index].sum(), confusion[index].sum())
        )
        precision, recall = right / max(called, 1), right / max(present, 1)
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        intervals = wilson_interval(right, called), wilson_interval(right, present)
        found.append(ClassScores(precision, recall, f1, *intervals, present))
    return found


def reliability_bins(probabilities: Float64Array, truth: IntArray, bins: int = ECE_BINS) -> list[ReliabilityBin]:
    """Sort answers into bins of equal width by the certainty of their top class; empty bins are left out.

    Args:
        probabilities: `(n, classes)`, rows sum to 1.
        truth: `(n,)` class indices.
        bins: how many.
    """
    certainty = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    bin_of = np.minimum((certainty * bins).astype(np.int64), bins - 1)
    found = []
    for index in np.unique(bin_of).tolist():
        inside = bin_of == index
        found.append(
            ReliabilityBin(index / bins, int(inside.sum()), int(right[inside].sum()), float(certainty[inside].mean()))
        )
    return found


def expected_calibration_error(probabilities: Float64Array, truth: IntArray, bins: int = ECE_BINS) -> float:
    """Mean distance between stated and real certainty of the top class (Guo et al., 2017, arXiv:1706.04599).

    Args:
        probabilities: `(n, classes)`, rows sum to 1.
        truth: `(n,)` class indices.
        bins: of equal width, how many.
    """
    found = reliability_bins(probabilities, truth, bins)
    return sum(each.images * abs(each.certainty - each.accuracy) for each in found) / len(truth)
