"""Intervals against published values, a bootstrap and scipy; look-alikes make them wider."""

import numpy as np
import pytest
from scipy import stats

from trainer.intervals import (
    Estimate,
    IntArray,
    Shares,
    basic_estimate,
    effective_size,
    group_resamples_of,
    percentile_estimate,
    wilson_interval,
)
from trainer.scores import expected_calibration_error


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    # Newcombe (1998), table I, method 3, to four digits
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_interval(right: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(right, total) == pytest.approx(interval, abs=5e-5)


def test_nothing_known_of_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def groups_of(*sizes: int) -> IntArray:
    return np.repeat(np.arange(len(sizes)), sizes)


class TestEffectiveSize:
    def test_unrelated_images_count_as_they_are(self) -> None:
        assert effective_size(np.arange(30) > 2, np.arange(30)) == 30

    def test_groups_that_are_answered_alike_count_once_each(self) -> None:
        groups = np.repeat(np.arange(100), 5)
        assert effective_size(groups % 10 > 0, groups) == pytest.approx(100, rel=0.02)

    def test_groups_that_are_answered_like_strangers_cost_nothing(self) -> None:
        right = np.random.default_rng(0).random(4000) < 0.8
        assert effective_size(right, np.repeat(np.arange(2000), 2)) == pytest.approx(4000, rel=0.06)
        # one right and one wrong in each group: less spread than strangers, which no one counts on
        assert effective_size(np.arange(40) % 2 > 0, np.repeat(np.arange(20), 2)) == 40

    @pytest.mark.parametrize("all_right", [True, False])
    def test_where_all_are_right_a_group_is_one_picture(self, all_right: bool) -> None:
        assert effective_size(np.full(30, all_right), groups_of(10, 10, 10)) == pytest.approx(3)
        assert effective_size(np.full(30, all_right), groups_of(*[1] * 28, 2)) == pytest.approx(900 / 32)

    def test_one_group_is_one_picture(self) -> None:
        assert effective_size(np.arange(8) > 3, np.zeros(8, np.int64)) == 1


class TestShares:
    def test_unrelated_images_have_wilsons_interval(self) -> None:
        right = np.arange(30) > 2
        assert Shares(np.arange(30)).estimate(right) == Estimate(0.9, *wilson_interval(27, 30))

    def test_thirty_of_thirty_is_not_certainty(self) -> None:
        estimate = Shares(groups_of(10, 10, 10)).estimate(np.ones(30, np.bool_))
        assert estimate == Estimate(1.0, *wilson_interval(3, 3))

    def test_it_agrees_with_a_bootstrap_of_groups(self) -> None:
        generator = np.random.default_rng(3)
        groups = np.repeat(np.arange(300), generator.integers(1, 8, 300))
        right = (generator.random(300) < 0.85)[groups] ^ (generator.random(len(groups)) < 0.05)
        estimate = Shares(groups).estimate(right)
        draws = [float(right[draw].mean()) for draw in group_resamples_of(groups, 4000)]
        low, high = np.percentile(draws, [2.5, 97.5])
        assert estimate is not None
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.006)
        plain = Shares(np.arange(len(groups))).estimate(right)
        assert plain is not None
        assert estimate.high - estimate.low > 1.5 * (plain.high - plain.low)

    def test_groups_are_counted_among_the_chosen_alone(self) -> None:
        groups, among = groups_of(2, 2, 2), np.array([True, False, True, False, True, False])
        estimate = Shares(groups).estimate(np.array([True, True, True, True, False, False]), among)
        assert estimate == Estimate(2 / 3, *wilson_interval(2, 3))

    def test_a_share_of_nothing_is_nothing(self) -> None:
        assert Shares(np.arange(3)).estimate(np.ones(3, np.bool_), np.zeros(3, np.bool_)) is None


class TestDraws:
    def test_the_same_every_time(self) -> None:
        first, again, other = (list(group_resamples_of(np.arange(50), 3, seed)) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
        assert all(draw.shape == (50,) and draw.min() >= 0 and draw.max() < 50 for draw in first)

    def test_whole_groups_are_drawn(self) -> None:
        groups = np.array([7, 1, 7, 1, 1, 3])
        for draw in group_resamples_of(groups, 20):
            counts = np.bincount(draw, minlength=6)
            assert counts[0] == counts[2]
            assert counts[1] == counts[3] == counts[4]
            assert counts[0] + counts[1] + counts[5] == 3


class TestStatistics:
    values = np.random.default_rng(0).beta(2.0, 5.0, 200)

    @pytest.mark.parametrize("method", ["percentile", "basic"])
    def test_a_mean_agrees_with_scipy(self, method: str) -> None:
        mean = float(self.values.mean())
        draws = [float(self.values[draw].mean()) for draw in group_resamples_of(np.arange(200), 4000)]
        ours = percentile_estimate(mean, draws) if method == "percentile" else basic_estimate(mean, draws)
        theirs = stats.bootstrap((self.values,), np.mean, n_resamples=4000, method=method, rng=1).confidence_interval
        assert ours is not None
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.02)

    def test_draws_without_a_value_are_left_out(self) -> None:
        assert percentile_estimate(0.5, [None, 0.5, None, 0.5]) == Estimate(0.5, 0.5, 0.5)
        assert percentile_estimate(0.5, [None, None]) == Estimate(0.5, 0.0, 1.0)
        assert percentile_estimate(None, [0.5]) is None

    def test_the_basic_interval_leans_against_the_bias_of_the_draws(self) -> None:
        estimate = basic_estimate(0.03, [0.03 + 0.001 * step for step in range(41)])
        assert estimate.low == 0.0  # 0.03 - 0.039, cut
        assert estimate.high == pytest.approx(0.029)


def covered(true_error: float, trials: int = 60) -> tuple[float, float]:
    """How often the basic and the percentile interval of the calibration error hold the true one, on 512 images."""
    generator = np.random.default_rng(5)
    held = np.zeros((trials, 2), np.bool_)
    for trial in range(trials):
        certainty = np.clip(1 - generator.beta(0.6, 12, 512), 0.5, 1.0)
        right = generator.random(512) < certainty - true_error
        probabilities, truth = np.stack([certainty, 1 - certainty], 1), np.where(right, 0, 1)
        value = expected_calibration_error(probabilities, truth)
        draws = [
            expected_calibration_error(probabilities[draw], truth[draw])
            for draw in group_resamples_of(np.arange(512), 150)
        ]
        basic, percentile = basic_estimate(value, draws), percentile_estimate(value, draws)
        assert percentile is not None
        held[trial] = [each.low <= true_error <= each.high for each in (basic, percentile)]
    basic_share, percentile_share = held.mean(0).tolist()
    return basic_share, percentile_share


def test_the_basic_interval_of_a_calibration_error_is_the_honest_one() -> None:
    basic, percentile = covered(0.03)
    assert basic >= 0.85
    assert basic > percentile
    assert covered(0.0)[0] > covered(0.0)[1] == 0
