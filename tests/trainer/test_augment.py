"""Boxes stay on what they mark, brightness stays within its range."""

from dataclasses import replace

import pytest
import torch

from trainer.augment import (
    Augmentation,
    augment,
    match_histograms,
    move_boxes,
    move_targets,
    random_bias_field,
    random_tone_curve,
    strip_skulls,
    vary_brightness,
)
from trainer.dataset import Batch
from trainer.targets import NO_BOX, Target, Targets

SIZE = 128
GEOMETRY_ONLY = Augmentation(brightness=False)


def painted(xyxy: list[float], side: int = SIZE) -> Batch:
    """Sixteen black images with a white rectangle at the box."""
    image = torch.zeros(1, side, side, dtype=torch.uint8)
    x1, y1, x2, y2 = (int(value) for value in xyxy)
    image[:, y1:y2, x1:x2] = 255
    target = Target(0, torch.tensor([xyxy]), torch.tensor([0]), True)
    return Batch(image.expand(16, -1, -1, -1), Targets.of([target] * 16))


class TestBoxesMoveAlong:
    @pytest.mark.parametrize("side", [SIZE, 160])
    def test_the_rectangle_is_where_its_box_is(self, side: int) -> None:
        images, targets = augment(painted([50.0, 40.0, 90.0, 64.0], side), SIZE, GEOMETRY_ONLY)
        for image, boxes in zip(images, targets.xyxy, strict=True):
            (x1, y1, x2, y2) = boxes[0].tolist()
            rows, columns = torch.nonzero(image[0] > 0.5, as_tuple=True)
            centre = columns.float().mean().item() + 0.5, rows.float().mean().item() + 0.5
            assert centre == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=2.0)
            inside = (columns >= x1 - 1) & (columns <= x2) & (rows >= y1 - 1) & (rows <= y2)
            # a turned rectangle's corners stand out of the box of its inscribed ellipse, nothing else may
            assert inside.float().mean() > 0.9

    def test_boxes_are_mirrored_with_the_image(self) -> None:
        mirror = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        moved, visible = move_boxes(torch.tensor([[[10.0, 20.0, 30.0, 60.0]]]), mirror[None], 100)
        assert moved[0, 0].tolist() == pytest.approx([70.0, 20.0, 90.0, 60.0], abs=1e-4)
        assert visible.all()

    def test_a_box_that_left_the_image_is_gone_and_makes_it_incomplete(self) -> None:
        shift = torch.tensor([[1.0, 0.0, 1.6], [0.0, 1.0, 0.0]]).expand(2, -1, -1)
        stays = [80.0, 20.0, 99.0, 60.0]
        both = Target(0, torch.tensor([[10.0, 20.0, 30.0, 60.0], stays]), torch.tensor([0, 3]), True)
        one = Target(1, torch.tensor([stays]), torch.tensor([1]), True)
        moved = move_targets(Targets.of([both, one]), 1.0, shift, 100)
        assert moved.channels.tolist() == [[NO_BOX, 3], [1, NO_BOX]]
        assert moved.complete.tolist() == [False, True]
        assert moved.class_indices.tolist() == [0, 1]

    def test_no_box_stays_no_box(self) -> None:
        nothing = Target(2, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), True)
        batch = Batch(torch.zeros(1, 1, 64, 64, dtype=torch.uint8), Targets.of([nothing]))
        _, targets = augment(batch, 64, Augmentation())
        assert not targets.are_boxes.any()
        assert targets.complete.all()


class TestBrightness:
    def test_it_stays_within_0_and_1(self) -> None:
        images = vary_brightness(torch.rand(32, 1, 32, 32))
        assert images.min() >= 0
        assert images.max() <= 1

    def test_a_tone_curve_keeps_the_order_and_the_ends(self) -> None:
        ramp = torch.linspace(0, 1, 64).view(1, 1, 8, 8).expand(4, -1, -1, -1)
        curved = random_tone_curve(ramp).flatten(1)
        assert (curved.diff(dim=1) >= 0).all()
        assert torch.allclose(curved[:, [0, -1]], torch.tensor([0.0, 1.0]).expand(4, 2))


class TestLooks:
    def test_a_varied_batch_stays_within_0_and_1(self) -> None:
        batch = painted([50.0, 40.0, 90.0, 64.0])
        images, targets = augment(batch, SIZE, Augmentation(looks=True))
        assert images.shape == (16, 1, SIZE, SIZE)
        assert 0 <= images.min() < images.max() <= 1
        assert len(targets) == 16

    def test_a_matched_image_has_the_others_brightness_and_its_own_order(self) -> None:
        ramp = torch.linspace(0.05, 1, 4096).view(1, 1, 64, 64)
        dark = ramp.flip(3) * 0.4
        matched = match_histograms(ramp, dark).flatten()
        assert (matched.diff() >= -1e-6).all()
        wanted = torch.quantile(dark, torch.tensor([0.25, 0.5, 0.75, 0.98]))
        assert torch.quantile(matched, torch.tensor([0.25, 0.5, 0.75, 0.98])) == pytest.approx(wanted, abs=0.03)

    def test_a_narrow_image_matched_to_itself_stays_as_it_is(self) -> None:
        narrow = torch.rand(2, 1, 32, 32) * 0.1 + 0.5
        assert torch.allclose(match_histograms(narrow, narrow), narrow, atol=0.02)

    def test_nothing_to_match_with_changes_nothing(self) -> None:
        image = torch.rand(1, 1, 32, 32)
        assert torch.equal(match_histograms(image, torch.zeros_like(image)), image)

    def test_matching_leaves_air_alone(self) -> None:
        image = torch.zeros(1, 1, 32, 32)
        image[..., 8:24, 8:24] = 0.5
        assert (match_histograms(image, torch.rand(1, 1, 32, 32))[image == 0] == 0).all()

    def test_a_bias_field_is_smooth_and_positive(self) -> None:
        field = random_bias_field(torch.full((8, 1, 64, 64), 0.5))
        assert (field > 0).all()
        assert field.diff(dim=2).abs().max() < 0.1

    def test_a_stripped_head_lacks_its_rim_alone(self) -> None:
        image, targets = disc([56.0, 56.0, 72.0, 72.0])
        stripped = strip_skulls(image, targets)
        assert stripped[0, 0, 64, 22] == 0
        assert torch.equal(stripped[0, 0, 44:84, 44:84], image[0, 0, 44:84, 44:84])

    def test_a_head_with_an_unmarked_tumour_keeps_its_rim(self) -> None:
        image, targets = disc([56.0, 56.0, 72.0, 72.0])
        assert torch.equal(strip_skulls(image, replace(targets, complete=torch.tensor([False]))), image)

    def test_a_lesion_at_the_rim_keeps_it(self) -> None:
        image, targets = disc([16.0, 56.0, 32.0, 72.0])
        assert torch.equal(strip_skulls(image, targets), image)


def disc(box: list[float]) -> tuple[torch.Tensor, Targets]:
    """A grey head, 88 pixels wide, with one lesion."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    image = (torch.hypot(x - 63.5, y - 63.5) < 44).float() * 0.6
    return image[None, None], Targets.of([Target(0, torch.tensor([box]), torch.tensor([0]), True)])
