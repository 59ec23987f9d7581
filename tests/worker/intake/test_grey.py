"""Grey values to 8 bits."""

import numpy as np
import numpy.typing as npt
import pytest

from tests.worker.intake.conftest import head_picture
from worker.intake.grey import levels_of, percentile_range, ramp


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_levels_keep_values_and_order(dtype: type[np.integer]) -> None:
    info = np.iinfo(dtype)
    stored = np.array([[info.min, 0, 1], [info.max, 1, info.max]], dtype)
    levels = levels_of(stored)
    assert np.array_equal(levels.histogram.values[levels.index], stored)
    assert levels.histogram.counts.sum() == 6
    assert levels.histogram.distinct() == len(np.unique(stored))


def test_percentiles_agree_with_numpy() -> None:
    stored = np.random.default_rng(1).normal(500, 100, (200, 150)).astype(np.int16)
    found = levels_of(stored).histogram.percentiles(0.5, 99.5)
    expected = np.percentile(stored, [0.5, 99.5], method="inverted_cdf")
    assert found == tuple(expected)


def test_air_does_not_move_the_window() -> None:
    tissue = np.arange(1, 1001, dtype=np.uint16).reshape(20, 50)
    padded = np.zeros((80, 50), np.uint16)
    padded[:20] = tissue
    assert percentile_range(levels_of(padded).histogram) == percentile_range(levels_of(tissue).histogram)


def test_padding_is_air_too() -> None:
    stored = np.full((100, 100), -2000, np.int16)
    stored[40:60, 40:60] = np.arange(1, 401).reshape(20, 20)
    low, high = percentile_range(levels_of(stored).histogram, padding=-2000)
    assert 1 <= low < 10
    assert 390 < high <= 400


def test_two_pictures_count_together() -> None:
    both = levels_of(np.array([[1, 2]], np.uint8)).histogram + levels_of(np.array([[2, 9]], np.uint8)).histogram
    assert both.percentiles(0, 100) == (1, 9)
    assert (both.counts.sum(), both.counts[2], both.distinct()) == (4, 2, 3)


def test_two_values_use_their_whole_range() -> None:
    stored = np.zeros((10, 10), np.uint8)
    stored[0] = 7
    assert percentile_range(levels_of(stored).histogram) == (0, 7)


def test_a_hot_pixel_is_no_content() -> None:
    stored = np.zeros((100, 100), np.uint16)
    assert levels_of(stored).histogram.spread() == 0
    stored[3, 3] = 60000
    assert levels_of(stored).histogram.spread() == 0
    stored[:2] = 5
    assert levels_of(stored).histogram.spread() == 5


def test_ramp_ends_and_rounding() -> None:
    assert ramp(np.array([-5.0, 0.0, 1.0, 2.0, 9.0]), 0, 2).tolist() == [0, 0, 128, 255, 255]


def noise() -> npt.NDArray[np.int16]:
    return np.rint(np.random.default_rng(2).rayleigh(9, (96, 80))).astype(np.int16)


def masked(picture: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """All but a corner as zeros."""
    picture[16:] = 0
    return picture


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (noise(), True),
        (noise() - 1024, True),
        (masked(noise()), True),
        (np.zeros((96, 80), np.int16), True),
        (head_picture(), False),
        (np.maximum(head_picture(), noise()), False),
        (np.maximum(head_picture(), noise()) - 1024, False),
    ],
)
def test_air_is_told_from_heads(stored: npt.NDArray[np.int16], expected: bool) -> None:
    assert levels_of(stored).histogram.looks_like_air() is expected
