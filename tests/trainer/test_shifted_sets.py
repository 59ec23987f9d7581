"""Stress sets made from scans: the same truth, another look."""

from pathlib import Path

import numpy as np
import pytest

from trainer.labels import Sample, Split, list_samples
from trainer.runtime.records import NO_TUMOR_INDEX
from trainer.shifted_sets import LESIONS_FAINT, LESIONS_MOVED, LOOKS, SIDE, ShiftedSet, shifted_sets


@pytest.fixture(scope="module")
def samples(data: Path) -> list[Sample]:
    return list_samples(data, Split.VAL)


@pytest.fixture(scope="module")
def sets(samples: list[Sample]) -> dict[str, ShiftedSet]:
    return shifted_sets(samples, cut_to_head=False)


def test_every_look_keeps_what_the_images_show(samples: list[Sample], sets: dict[str, ShiftedSet]) -> None:
    plain = sets["as they are"]
    for name in LOOKS:
        assert sets[name].class_indices.tolist() == [sample.class_index for sample in samples]
        assert all(image.shape == (SIDE, SIDE) and image.dtype == np.uint8 for image in sets[name].images)
    for name in ("inverted", "brightness of another", "contrast of no sequence", "uneven coil"):
        changed = [not np.array_equal(a, b) for a, b in zip(sets[name].images, plain.images, strict=True)]
        assert sum(changed) >= len(samples) - 1, name


def test_lesions_are_moved_or_faint(samples: list[Sample], sets: dict[str, ShiftedSet]) -> None:
    healthy = [sample.class_index == NO_TUMOR_INDEX for sample in samples]
    moved, faint = sets[LESIONS_MOVED], sets[LESIONS_FAINT]
    assert set((moved.class_indices == NO_TUMOR_INDEX).tolist()) == {True, False}
    assert (faint.class_indices == NO_TUMOR_INDEX).sum() == sum(healthy)
    plain = [image for image, is_healthy in zip(sets["as they are"].images, healthy, strict=True) if is_healthy]
    assert all(np.array_equal(a, b) for a, b in zip(faint.images[-len(plain) :], plain, strict=True))


def test_the_same_images_give_the_same_sets(samples: list[Sample], sets: dict[str, ShiftedSet]) -> None:
    again = shifted_sets(samples, cut_to_head=False)
    assert again.keys() == sets.keys()
    for name, each in again.items():
        assert all(np.array_equal(a, b) for a, b in zip(each.images, sets[name].images, strict=True))
