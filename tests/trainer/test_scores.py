"""Figures against values worked out by hand."""

import numpy as np
import pytest

from trainer.scores import class_scores, confusion_matrix, expected_calibration_error, wilson_interval


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    # Newcombe (1998), table I, method 3, to four digits
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_interval(right: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(right, total) == pytest.approx(interval, abs=5e-5)


def test_nothing_known_of_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_confusion_and_scores() -> None:
    truth, answers = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 1])
    confusion = confusion_matrix(truth, answers, 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    first, second, third, absent = class_scores(confusion)
    assert (first.precision, first.recall, first.f1, first.images) == pytest.approx((1, 2 / 3, 0.8, 3))
    assert (second.precision, second.recall, second.f1) == pytest.approx((0.5, 1, 2 / 3))
    assert (third.precision, third.recall, third.f1, third.images) == (0, 0, 0, 1)
    assert absent.images == 0


def test_calibration_error() -> None:
    # two bins: 0.8 sure and always right (gap 0.2), 0.55 sure and half right (gap 0.05)
    probabilities = np.array([[0.8, 0.2]] * 2 + [[0.55, 0.45]] * 2)
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.5 * 0.2 + 0.5 * 0.05)


def test_certainty_of_1_has_a_bin() -> None:
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0
