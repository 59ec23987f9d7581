"""Figures against values worked out by hand."""

import numpy as np
import pytest

from trainer.scores import confusion_matrix, expected_calibration_error, reliability_bins


def test_confusion() -> None:
    truth, answers = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 1])
    confusion = confusion_matrix(truth, answers, 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_reliability_bins() -> None:
    probabilities = np.array([[0.8, 0.2]] * 3 + [[0.45, 0.55]])
    low, high = reliability_bins(probabilities, np.array([0, 0, 1, 1]), bins=10)
    assert (low.low, low.images, low.right, low.certainty, low.accuracy) == pytest.approx((0.5, 1, 1, 0.55, 1.0))
    assert (high.low, high.images, high.right, high.certainty) == pytest.approx((0.8, 3, 2, 0.8))


def test_calibration_error() -> None:
    # two bins: 0.8 sure and always right (gap 0.2), 0.55 sure and half right (gap 0.05)
    probabilities = np.array([[0.8, 0.2]] * 2 + [[0.55, 0.45]] * 2)
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.5 * 0.2 + 0.5 * 0.05)


def test_certainty_of_1_has_a_bin() -> None:
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0
