"""The pictures that set the threshold of novelty are what they say, and always the same."""

import numpy as np
import pytest

from trainer.runtime.records import GreyImage
from trainer.unfamiliar_images import inverted, no_brain_images, other_looks, shuffled_tiles, with_look_of


@pytest.fixture
def scan() -> GreyImage:
    """Air around a ramp from 50 to 150."""
    image = np.zeros((40, 40), np.uint8)
    image[8:32, 8:32] = np.linspace(50, 150, 24 * 24).reshape(24, 24)
    return image


def test_many_kinds_all_different(scan: GreyImage) -> None:
    pictures = no_brain_images([scan], 1)
    assert len(pictures) > 50
    assert all(picture.dtype == np.uint8 and picture.ndim == 2 and picture.std() > 5 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) > 50


def test_the_seed_decides(scan: GreyImage) -> None:
    one, same, other = (no_brain_images([scan], seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_shuffled_tiles_are_the_same_pixels_in_another_place(scan: GreyImage) -> None:
    shuffled = shuffled_tiles(scan, np.random.default_rng(0))
    assert np.array_equal(np.sort(shuffled.ravel()), np.sort(scan.ravel()))
    assert not np.array_equal(shuffled, scan)


def test_inverting_leaves_air_dark(scan: GreyImage) -> None:
    turned = inverted(scan)
    assert turned[0, 0] == 0
    assert turned[8, 8] == 100
    assert turned[31, 31] == 0


def test_the_look_of_another_keeps_the_order(scan: GreyImage) -> None:
    other = np.where(scan > 0, 255 - scan // 2, 0).astype(np.uint8)
    matched = with_look_of(scan, other)
    assert (np.diff(matched[8:32, 8:32].ravel().astype(int)) >= 0).all()
    assert abs(int(np.median(matched[8:32, 8:32])) - int(np.median(other[8:32, 8:32]))) < 4


def test_three_looks_a_scan(scan: GreyImage) -> None:
    assert [look.shape for look in other_looks([scan, scan], 1)] == [(40, 40)] * 6
