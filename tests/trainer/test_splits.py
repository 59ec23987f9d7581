"""No picture, and no look-alike of it, on two sides."""

from pathlib import Path

import numpy as np
import pytest

from trainer.labels import Split, list_samples
from trainer.leakage import PictureGroups, find_picture_groups, looks_like_any
from trainer.splits import class_indices, first_of_each_file, grouped_folds, hold_out, without_leakage


@pytest.fixture(scope="module")
def pictures(data: Path) -> PictureGroups:
    return find_picture_groups([*list_samples(data, Split.TRAIN), *list_samples(data, Split.VAL)])


def test_whole_groups_are_held_out_in_every_class(data: Path) -> None:
    samples = list_samples(data, Split.TRAIN)
    groups = np.arange(len(samples)) // 2
    held_out = hold_out(class_indices(samples), groups, 0.25, seed=1)
    assert not set(groups[held_out]) & set(groups[~held_out])
    assert set(class_indices(samples)[held_out]) == {0, 1, 2, 3}
    assert 10 <= held_out.sum() <= 18


def test_the_leak_filter_leaves_nothing_that_looks_like_val(pictures: PictureGroups) -> None:
    clean = without_leakage(pictures)
    in_val = np.array([sample.split is Split.VAL for sample in pictures.samples])
    assert (clean.look_alikes_of_val, clean.duplicates) == (1, 1)
    assert not in_val[clean.kept].any()
    assert not looks_like_any(pictures.hashes[clean.kept], pictures.hashes[in_val]).any()
    assert len({pictures.sha256[row] for row in clean.kept}) == len(clean.kept) == in_val.size - in_val.sum() - 2


@pytest.mark.parametrize("mirrored", [Split.TRAIN, Split.VAL])
def test_a_mirror_image_of_val_is_dropped_whichever_of_the_two_is_mirrored(
    pictures: PictureGroups, mirrored: Split
) -> None:
    """Mirroring the one gives a near hash, mirroring the other a far one: the hash of a mirror image is not exact."""
    other = Split.VAL if mirrored is Split.TRAIN else Split.TRAIN
    rows = [next(row for row, s in enumerate(pictures.samples) if s.split is split) for split in (mirrored, other)]
    hashes = np.array([[0xFFFF, 0b11 << 40], [0, 0xFFFF << 20]], np.uint64)
    clean = without_leakage(
        PictureGroups([pictures.samples[row] for row in rows], ["a", "b"], hashes, np.array([0, 0]))
    )
    assert (len(clean.kept), clean.look_alikes_of_val) == (0, 1)


def test_a_look_alike_of_a_dropped_image_stays(pictures: PictureGroups) -> None:
    train = [sample for sample in pictures.samples if sample.split is Split.TRAIN][:2]
    val = next(sample for sample in pictures.samples if sample.split is Split.VAL)
    hashes = np.array([[0b1111, 0xFFFF << 12], [0b11111111, 0xFFFF << 28], [0, 0xFFFF << 44]], np.uint64)
    clean = without_leakage(PictureGroups([*train, val], ["a", "b", "c"], hashes, np.array([0, 0, 0])))
    assert (clean.kept.tolist(), clean.look_alikes_of_val) == ([1], 1)


def test_the_first_of_equal_files_is_kept(pictures: PictureGroups) -> None:
    rows = np.arange(len(pictures.samples))
    kept = first_of_each_file(pictures, rows)
    assert len(kept) == len(rows) - 2
    assert kept.tolist() == sorted(kept.tolist())
    names = [pictures.samples[row].name for row in rows if row not in kept]
    assert names == ["Glioma/images/twin.png", "Glioma/images/scan (0).png"]  # the latter of Val


def test_every_image_is_tested_once_and_no_group_stands_on_two_sides(pictures: PictureGroups) -> None:
    rows = np.arange(len(pictures.samples))
    folds = list(grouped_folds(pictures, rows, 3, 0.2, seed=1))
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == rows.tolist()
    for fold in folds:
        sides = [set(pictures.groups[part].tolist()) for part in (fold.training, fold.held_out, fold.test)]
        assert all(sides)
        assert not sides[0] & sides[1]
        assert not (sides[0] | sides[1]) & sides[2]
        assert len(fold.training) + len(fold.held_out) + len(fold.test) == len(rows)
        for part in (fold.training, fold.test):
            assert set(class_indices([pictures.samples[row] for row in part])) == {0, 1, 2, 3}
