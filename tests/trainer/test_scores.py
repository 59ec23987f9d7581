"""Figures against values worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from trainer.scores import (
    class_scores,
    confusion_matrix,
    expected_calibration_error,
    percentile_interval,
    reliability_bins,
    resamples_of,
    wilson_interval,
)


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


def test_intervals_of_precision_and_recall() -> None:
    # of class 0: 15 of 20 called so are of it, 15 of 16 of its own were called so
    first, _ = class_scores(np.array([[15, 1], [5, 9]]))
    assert first.precision_ci95 == wilson_interval(15, 20)
    assert first.recall_ci95 == wilson_interval(15, 16)


class TestBootstrap:
    right = np.arange(512) % 20 > 0  # 0.949

    def test_the_same_draws_every_time(self) -> None:
        first, again, other = (list(resamples_of(50, 3, seed)) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
        assert all(draw.shape == (50,) and draw.min() >= 0 and draw.max() < 50 for draw in first)

    def test_wilson_agrees_with_a_bootstrap_of_accuracy(self) -> None:
        resampled = percentile_interval([float(self.right[draw].mean()) for draw in resamples_of(512, 4000)])
        assert resampled == pytest.approx(wilson_interval(int(self.right.sum()), 512), abs=0.006)

    def test_a_mean_agrees_with_the_bootstrap_of_scipy(self) -> None:
        values = np.random.default_rng(0).gamma(2.0, size=200)
        ours = percentile_interval([float(values[draw].mean()) for draw in resamples_of(200, 4000)])
        theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
        assert ours == pytest.approx((theirs.low, theirs.high), rel=0.02)

    def test_draws_without_a_value_are_left_out(self) -> None:
        assert percentile_interval([None, 0.5, None, 0.5]) == (0.5, 0.5)
        assert percentile_interval([None, None]) is None
        assert percentile_interval([]) is None


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
