"""How right and how honest a model's answers are: pure functions of arrays. No torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.intervals import IntArray

Float64Array = npt.NDArray[np.float64]

ECE_BINS = 15


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


def confusion_matrix(truth: IntArray, answers: IntArray, classes: int) -> IntArray:
    """Counts `(classes, classes)`: rows are the truth, columns the answers."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, answers), 1)
    return counts


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
