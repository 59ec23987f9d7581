"""How right and how honest a model's answers are: pure functions of arrays. No torch."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ECE_BINS = 15
_Z95 = 1.959964


@dataclass(frozen=True)
class ClassScores:
    """Of one class; precision and recall are 0 where nothing was predicted or present, `images` are those of it."""

    precision: float
    recall: float
    f1: float
    images: int


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927): honest for small numbers and near 1, where the plain one is not."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = right / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(truth: IntArray, answers: IntArray, classes: int) -> IntArray:
    """Counts `(classes, classes)`: rows are the truth, columns the answers."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, answers), 1)
    return counts


def class_scores(confusion: IntArray) -> list[ClassScores]:
    """Precision, recall and F1 of every class of a confusion matrix."""
    found = []
    for index in range(len(confusion)):
        right, called, present = confusion[index, index], confusion[:, index].sum(), confusion[index].sum()
        precision, recall = float(right / max(called, 1)), float(right / max(present, 1))
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        found.append(ClassScores(precision, recall, f1, int(present)))
    return found


def expected_calibration_error(probabilities: Float64Array, truth: IntArray, bins: int = ECE_BINS) -> float:
    """Mean distance between stated and real certainty of the top class, over bins of equal width.

    Args:
        probabilities: `(n, classes)`, rows sum to 1.
        truth: `(n,)` class indices.
        bins: how many.
    """
    certainty = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    bin_of = np.minimum((certainty * bins).astype(np.int64), bins - 1)
    total = 0.0
    for index in np.unique(bin_of):
        inside = bin_of == index
        total += inside.mean() * abs(certainty[inside].mean() - right[inside].mean())
    return float(total)
