"""Into the square and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.runtime.preprocess import letterbox, to_batch

sides = st.integers(8, 400)


@given(width=sides, height=sides, box=st.lists(st.floats(0.05, 0.95), min_size=4, max_size=4))
def test_boxes_find_their_way_back(width: int, height: int, box: list[float]) -> None:
    _, fitted = letterbox(np.zeros((height, width), np.uint8), 64)
    x, y = sorted(box[:2]), sorted(box[2:])
    xyxy = np.array([[x[0] * width, y[0] * height, x[1] * width, y[1] * height]], np.float32)
    inside = fitted.to_network(xyxy)
    assert inside.min() >= -0.01
    assert inside.max() <= 64.01
    assert fitted.to_image(inside) == pytest.approx(xyxy, abs=0.02)


@given(width=sides, height=sides)
def test_the_long_side_is_filled_and_the_picture_centred(width: int, height: int) -> None:
    square, fitted = letterbox(np.full((height, width), 200, np.uint8), 64)
    rows, columns = np.nonzero(square)
    assert max(np.ptp(rows), np.ptp(columns)) == 63
    assert (columns.min(), rows.min()) == (fitted.pad_x, fitted.pad_y)
    assert abs((63 - rows.max()) - rows.min()) <= 1
    assert abs((63 - columns.max()) - columns.min()) <= 1


def test_boxes_outside_are_clipped_to_the_image() -> None:
    _, fitted = letterbox(np.zeros((50, 100), np.uint8), 64)
    assert fitted.to_image(np.array([[-20, 0, 90, 64]], np.float32)).tolist() == [[0, 0, 100, 50]]


def test_a_batch_is_float32_within_0_and_1() -> None:
    batch = to_batch([np.full((32, 32), 255, np.uint8), np.zeros((32, 32), np.uint8)])
    assert batch.shape == (2, 1, 32, 32)
    assert batch.dtype == np.float32
    assert (batch.max(), batch.min()) == (1.0, 0.0)
