"""Images and boxes as the network gets them, and the held-out part."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.dataset import BrainTumorDataset, BrainTumorTestDataset
from trainer.labels import DatasetError, Split, list_samples
from trainer.runtime.records import CLASSES, TumorClass
from trainer.targets import Target, Targets

from .conftest import SIDE


def test_boxes_are_in_network_pixels_and_on_the_lesion(data: Path) -> None:
    dataset = BrainTumorTestDataset(list_samples(data, Split.VAL), 64)
    for sample, (image, target) in zip(dataset.samples, (dataset[i] for i in range(len(dataset))), strict=True):
        assert image.shape == (1, 64, 64)
        assert image.dtype == torch.uint8
        assert CLASSES[target.class_index] == sample.tumor_class
        assert len(target.xyxy) == (sample.tumor_class is not TumorClass.NO_TUMOR)
        for x1, y1, x2, y2 in target.xyxy.round().int().tolist():
            assert (x2 - x1, y2 - y1) == pytest.approx((28 * 64 / SIDE, 22 * 64 / SIDE), abs=1)
            assert image[0, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].float().mean() > 235


def test_a_batch_holds_the_images_asked_for(data: Path) -> None:
    dataset = BrainTumorTestDataset(list_samples(data, Split.VAL)[:3], 64)
    batch = dataset.batch(torch.tensor([2, 0, 2]))
    assert batch.images.shape == (3, 1, 64, 64)
    assert torch.equal(batch.images[1], dataset[0][0])
    for place, index in enumerate((2, 0, 2)):
        ours, theirs = batch.targets.one(place), dataset[index][1]
        assert (ours.class_index, ours.complete) == (theirs.class_index, theirs.complete)
        assert torch.equal(ours.xyxy, theirs.xyxy)
        assert torch.equal(ours.channels, theirs.channels)


def test_rare_classes_are_drawn_more_often(data: Path) -> None:
    samples = [s for s in list_samples(data, Split.VAL) if s.tumor_class is not TumorClass.NO_TUMOR or "(0)" in s.name]
    weights = BrainTumorDataset(samples, 64).sampling_weights(0.0)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[[s.tumor_class for s in samples].index(TumorClass.NO_TUMOR)] / weights[0] == pytest.approx(2.0)


def test_rare_looks_are_drawn_more_often_too(data: Path) -> None:
    dataset = BrainTumorDataset(list_samples(data, Split.VAL), 64)
    dataset.groups = dataset.class_indices * 2 + (np.arange(16) % 4 == 0)
    weights = dataset.sampling_weights(0.0)
    rare = dataset.groups % 2 == 1
    assert weights[rare].min() / weights[~rare].max() == pytest.approx(3**0.5)


def test_made_images_share_what_they_are_given(data: Path) -> None:
    dataset = BrainTumorDataset(list_samples(data, Split.VAL), 64)
    two_boxes = Targets.of([Target(0, torch.ones(2, 4), torch.zeros(2, dtype=torch.int64), True)] * 3)
    dataset.add_made(
        torch.full((3, 1, 64, 64), 9, dtype=torch.uint8), two_boxes, torch.tensor([0.5, 0.25, 0.25]).double()
    )
    weights = dataset.sampling_weights(0.3)
    assert (len(dataset), len(weights)) == (16, 19)
    assert weights[16:].tolist() == pytest.approx([0.15, 0.075, 0.075])
    batch = dataset.batch(torch.tensor([0, 18]))
    assert batch.images[1].unique().tolist() == [9]
    assert batch.targets.are_boxes.sum(1).tolist() == [1, 2]


def test_a_broken_image_is_named(data: Path, tmp_path: Path) -> None:
    sample = list_samples(data, Split.VAL)[0]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"broken\.jpg cannot be read"):
        BrainTumorTestDataset([type(sample)(**{**vars(sample), "image_path": broken})], 64)
