"""What is set in fits what is around it, and nothing of a lesion comes along."""

import pytest
import torch
from torch import Tensor

from trainer.patches import RING, Window, bounding_box, head_mask, paste_region, replace_region

SIDE = 128
BOX = torch.tensor([36.0, 50.0, 52.0, 66.0])


def head() -> Tensor:
    """A grey disc on black with a soft gradient, mirror-symmetric, 100 pixels wide."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    inside = torch.hypot(x - 63.5, y - 63.5) < 50
    return inside * (0.3 + 0.2 * y / SIDE)


def with_lesion(image: Tensor, box: Tensor = BOX, brightness: float = 0.9) -> Tensor:
    window = Window.around(box, image.shape)
    assert window is not None
    out = image.clone()
    out[window.pixels] = torch.where(window.radius <= 1, brightness, out[window.pixels])
    return out


class TestHead:
    def test_it_is_found_with_its_holes(self) -> None:
        image = head()
        image[60:70, 60:70] = 0
        mask = head_mask(image)
        assert mask[65, 65]
        assert not mask[3, 3]
        assert bounding_box(mask) == pytest.approx((14, 14, 114, 114), abs=2)

    def test_nothing_has_no_bounds(self) -> None:
        assert bounding_box(torch.zeros(4, 4, dtype=torch.bool)) is None


class TestWindow:
    def test_the_radius_is_1_at_the_middle_of_each_side_of_the_box(self) -> None:
        window = Window.around(BOX, torch.Size([SIDE, SIDE]))
        assert window is not None
        row = 58 - window.top
        assert window.radius[row, 36 - window.left] == pytest.approx(1, abs=0.1)
        assert window.radius[row, 51 - window.left] == pytest.approx(1, abs=0.1)

    def test_there_is_none_at_the_border(self) -> None:
        assert Window.around(torch.tensor([0.0, 50.0, 16.0, 66.0]), torch.Size([SIDE, SIDE])) is None


class TestReplace:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_lesion_is_gone_and_the_rest_is_as_it_was(self, seed: int) -> None:
        torch.manual_seed(seed)
        plain = head()
        scan = with_lesion(plain)
        healed = replace_region(scan, BOX, BOX[None])
        assert healed is not None
        assert (healed - plain).abs().max() < 0.05
        window = Window.around(BOX, scan.shape)
        assert window is not None
        outside = torch.ones_like(scan, dtype=torch.bool)
        outside[window.pixels] = window.radius < RING[1]
        changed = (healed - scan).abs() > 1e-6
        assert not (changed & ~outside).any()

    def test_no_other_lesion_is_set_in(self) -> None:
        other = torch.tensor([76.0, 50.0, 92.0, 66.0])  # where the twin on the other side would be
        scan = with_lesion(with_lesion(head()), other)
        for seed in range(5):
            torch.manual_seed(seed)
            healed = replace_region(scan, BOX, torch.stack([BOX, other]))
            assert healed is not None
            assert healed[54:62, 40:48].max() < 0.6

    def test_where_nothing_fits_nothing_is_made(self) -> None:
        torch.manual_seed(0)
        assert replace_region(with_lesion(torch.rand(SIDE, SIDE)), BOX, BOX[None]) is None

    def test_a_region_that_fills_the_image_cannot_be_replaced(self) -> None:
        everything = torch.tensor([30.0, 30.0, 98.0, 98.0])
        assert replace_region(head(), everything, everything[None]) is None


class TestPaste:
    def test_the_contrast_comes_along_the_brightness_does_not(self) -> None:
        donor, host = with_lesion(head(), brightness=0.7), head() * 0.5
        pasted = paste_region(host, donor, BOX, (80.0, 70.0), gain=1.0)
        assert pasted is not None
        assert pasted.box.tolist() == [72.0, 62.0, 88.0, 78.0]
        contrast = 0.7 - head()[58, 44]
        assert float(pasted.image[70, 80] - host[70, 80]) == pytest.approx(float(contrast), abs=0.06)
        assert torch.equal(pasted.image[:40], host[:40])

    def test_a_negative_gain_turns_it_dark(self) -> None:
        pasted = paste_region(head(), with_lesion(head(), brightness=0.5), BOX, (80.0, 70.0), gain=-1.0)
        assert pasted is not None
        assert pasted.image[70, 80] < head()[70, 80] - 0.05

    def test_what_could_not_be_seen_is_not_pasted(self) -> None:
        assert paste_region(head(), with_lesion(head()), BOX, (80.0, 70.0), gain=0.05) is None

    def test_a_place_at_the_border_is_none(self) -> None:
        assert paste_region(head(), with_lesion(head()), BOX, (3.0, 70.0), gain=1.0) is None
