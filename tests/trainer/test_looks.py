"""Groups of looks: by the distribution of brightness, within a class."""

import numpy as np
import torch

from trainer.looks import brightness_distribution, look_groups


def picture(dark: int, bright: int, number: int) -> np.ndarray:
    """Air, and a disc that is dark and bright in halves."""
    y, x = np.mgrid[:64, :64] - 31.5
    image = np.where(x < 0, dark, bright) + np.random.default_rng(number).integers(0, 4, (64, 64))
    return np.where(np.hypot(x, y) < 20 + number % 5, image, 0).astype(np.uint8)


def test_air_and_exposure_do_not_count() -> None:
    small, large = picture(100, 200, 0), picture(100, 200, 4)
    half = (small / 2).astype(np.uint8)
    assert np.abs(brightness_distribution(small) - brightness_distribution(large)).max() < 0.05
    assert np.abs(brightness_distribution(small) - brightness_distribution(half)).max() < 0.05


def test_a_black_image_has_a_look() -> None:
    assert brightness_distribution(np.zeros((8, 8), np.uint8)).tolist() == [0.0] * 9


def test_images_of_one_look_and_class_are_together() -> None:
    looks = [(40, 220), (100, 120), (200, 220)]
    images = [picture(*looks[number % 3], number) for number in range(24)]
    classes = np.array([0] * 12 + [3] * 12)
    groups = look_groups(torch.from_numpy(np.stack(images))[:, None], classes)
    assert not set(groups[:12]) & set(groups[12:])
    for part in (groups[:12], groups[12:]):
        of_look = [set(part[look::3].tolist()) for look in range(3)]
        assert all(not a & b for a, b in zip(of_look, of_look[1:] + of_look[:1], strict=True))
