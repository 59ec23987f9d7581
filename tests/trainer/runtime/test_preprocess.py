"""Into the square and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.runtime.preprocess import head_extent, letterbox, to_batch

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


def picture_with(box: tuple[int, int, int, int], height: int = 200, width: int = 160) -> np.ndarray:
    """Air with a little noise, and a grey rectangle."""
    image = np.random.default_rng(1).integers(0, 6, (height, width)).astype(np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = 120
    return image


class TestCutToHead:
    """The frame around a head is left away."""

    def test_the_head_fills_the_square(self) -> None:
        image = picture_with((40, 60, 120, 160))
        assert head_extent(image) == (37, 57, 123, 163)
        square, fitted = letterbox(image, 64, cut_to_head=True)
        rows, columns = np.nonzero(square > 60)
        assert np.ptp(rows) >= 58
        box = np.array([[40, 60, 120, 160]], np.float32)
        inside = fitted.to_network(box)[0]
        assert inside == pytest.approx([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], abs=1)
        assert fitted.to_image(inside[None]) == pytest.approx(box, abs=0.02)

    def test_letters_in_the_corner_are_no_head(self) -> None:
        image = picture_with((40, 60, 120, 160))
        image[4:14, 4:7] = 255
        assert head_extent(image) == (37, 57, 123, 163)

    @pytest.mark.parametrize("box", [(80, 100, 84, 104), (0, 0, 0, 0)], ids=["a speck", "nothing"])
    def test_without_a_head_the_whole_image_is_shown(self, box: tuple[int, int, int, int]) -> None:
        assert head_extent(picture_with(box)) == (0, 0, 160, 200)

    def test_a_black_image_is_shown_whole(self) -> None:
        assert head_extent(np.zeros((50, 30), np.uint8)) == (0, 0, 30, 50)

    @given(width=sides, height=sides)
    def test_a_head_that_fills_the_image_is_left_as_it_is(self, width: int, height: int) -> None:
        assert head_extent(np.full((height, width), 90, np.uint8)) == (0, 0, width, height)


def test_a_batch_is_float32_within_0_and_1() -> None:
    batch = to_batch([np.full((32, 32), 255, np.uint8), np.zeros((32, 32), np.uint8)])
    assert batch.shape == (2, 1, 32, 32)
    assert batch.dtype == np.float32
    assert (batch.max(), batch.min()) == (1.0, 0.0)
