"""Non-square pixels."""

import numpy as np
import pytest

from worker.aspect import Aspect
from worker.domain import PixelGeometry


def aspect(spacing_mm: tuple[float, float] | None) -> Aspect:
    return Aspect.of(PixelGeometry(100, 120, spacing_mm))


@pytest.mark.parametrize(
    ("spacing_mm", "x", "y"),
    [
        ((0.5, 0.5), 1, 1),
        ((1.0, 0.5), 1, 2),  # rows are twice as far apart as columns
        ((0.5, 2.0), 4, 1),
        ((0.9, 0.905), 1, 1),
        (None, 1, 1),
        ((50.0, 0.01), 1, 1),
    ],
)
def test_the_axis_of_the_wider_pixels_is_enlarged(spacing_mm: tuple[float, float] | None, x: float, y: float) -> None:
    found = aspect(spacing_mm)
    assert (found.x, found.y) == (x, y)
    assert found.corrected(np.zeros((100, 120), np.uint8)).shape == (100 * y, 120 * x)


def test_a_slice_that_would_become_too_long_is_left_alone() -> None:
    found = Aspect.of(PixelGeometry(64, 10_000, (0.5, 4.0)))
    assert found.is_square


def test_square_pixels_are_left_alone() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert aspect((1.0, 1.0)).corrected(pixels) is pixels


def test_what_is_marked_stays_marked() -> None:
    pixels = np.zeros((100, 120), np.uint8)
    pixels[20:30, 60:90] = 200
    found = aspect((1.0, 0.4))
    x1, y1, x2, y2 = (round(value) for value in found.to_corrected((60, 20, 90, 30)))
    corrected = found.corrected(pixels)
    assert corrected[y1 + 2 : y2 - 2, x1:x2].min() == 200
    assert corrected[: y1 - 2].max() == corrected[y2 + 2 :].max() == 0
    assert found.to_stored(found.to_corrected((60, 20, 90, 30))) == pytest.approx((60, 20, 90, 30))
