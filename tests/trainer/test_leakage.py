"""TestHashes: what counts as the same picture; TestParts: no picture on both sides of a split;
TestPictureGroups: the groups that every split uses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainer import leakage
from trainer.labels import DatasetError, Sample, Split, list_samples
from trainer.leakage import distances, find_picture_groups, look_alike_groups, looks_like_any, perceptual_hashes
from trainer.parts import choose_parts
from trainer.recipes import DEFAULT, SEED
from trainer.runtime.bundle import file_sha256
from trainer.runtime.records import TumorClass

from .conftest import smooth_noise

MIRRORED_NEAR_ITS_HASH, MIRRORED_FAR_FROM_BOTH, NEAR_NEITHER = 0b11, 0xFFFF << 24, 0xFFFF << 44
"""Hashes for pictures of which only one, mirrored, comes near the other as it is (0): 2 bits, and 16 or more."""


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """An original, its mirror image, a re-encoded smaller copy, and another picture."""
    original = Image.fromarray(smooth_noise(np.random.default_rng(5)))
    other = Image.fromarray(smooth_noise(np.random.default_rng(6)))
    paths = [tmp_path / name for name in ("original.png", "mirror.png", "small.jpg", "other.png")]
    original.save(paths[0])
    ImageOps.mirror(original).save(paths[1])
    original.resize((64, 64)).save(paths[2], quality=80)
    other.save(paths[3])
    return paths


class TestHashes:
    def test_mirrored_and_re_encoded_copies_are_found(self, pictures: list[Path]) -> None:
        hashes = perceptual_hashes(pictures)
        assert looks_like_any(hashes, hashes[:1]).tolist() == [True, True, True, False]

    def test_nothing_looks_like_nothing(self, pictures: list[Path]) -> None:
        hashes = perceptual_hashes(pictures)
        assert not looks_like_any(hashes, hashes[:0]).any()

    @pytest.mark.parametrize("mirrored_hash", [MIRRORED_NEAR_ITS_HASH, MIRRORED_FAR_FROM_BOTH])
    def test_a_mirror_image_is_found_whichever_of_the_two_is_mirrored(self, mirrored_hash: int) -> None:
        one = np.array([[0, MIRRORED_FAR_FROM_BOTH]], np.uint64)
        other = np.array([[NEAR_NEITHER, mirrored_hash]], np.uint64)
        expected = 2 if mirrored_hash == MIRRORED_NEAR_ITS_HASH else 16
        assert distances(one, other).tolist() == distances(other, one).tolist() == [[expected]]
        assert looks_like_any(one, other).tolist() == looks_like_any(other, one).tolist() == [expected == 2]

    def test_distances_are_symmetric(self) -> None:
        hashes = np.random.default_rng(4).integers(0, 2**63, (9, 2), dtype=np.uint64)
        assert np.array_equal(distances(hashes[:4], hashes[4:]), distances(hashes[4:], hashes[:4]).T)
        assert distances(hashes, hashes).diagonal().tolist() == [0] * 9

    def test_an_image_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "x.jpg").write_text("no image")
        with pytest.raises(DatasetError, match=r"x\.jpg cannot be read"):
            perceptual_hashes([tmp_path / "x.jpg"])

    def test_look_alikes_share_a_group(self, pictures: list[Path]) -> None:
        groups = look_alike_groups(perceptual_hashes(pictures))
        assert groups[0] == groups[1] == groups[2] != groups[3]

    def test_groups_join_through_others(self) -> None:
        # b is 4 bits from a and from c, which are 8 bits apart; mirrored, none is near another
        hashes = np.array([[0, 0xFFFF << 12], [0b1111, 0xFFFF << 28], [0b11111111, 0xFFFF << 44]], np.uint64)
        assert look_alike_groups(hashes).tolist() == [0, 0, 0]
        assert look_alike_groups(hashes[[0, 2]]).tolist() == [0, 1]


class TestParts:
    def test_a_planted_copy_of_val_is_not_trained_on(self, data: Path) -> None:
        parts = choose_parts(data, DEFAULT, seed=1)
        names = {sample.name for sample in [*parts.training, *parts.held_out]}
        assert "Glioma/images/leak.png" not in names
        assert ("Glioma/images/twin.png" in names) != ("Glioma/images/scan (3).png" in names)
        assert "1 look-alikes of Val, 1 repeats" in parts.summary

    def test_the_parts_do_not_overlap_and_hold_out_every_class(self, data: Path) -> None:
        parts = choose_parts(data, DEFAULT, seed=1)
        held_out = {sample.name for sample in parts.held_out}
        assert not held_out & {sample.name for sample in parts.training}
        assert {sample.class_index for sample in parts.held_out} == {0, 1, 2, 3}

    def test_the_published_recipe_leaves_the_leak_in(self, data: Path) -> None:
        parts = choose_parts(data, SEED, seed=1)
        assert len(parts.training) + len(parts.held_out) == len(list_samples(data, Split.TRAIN))

    def test_the_same_seed_gives_the_same_parts(self, data: Path) -> None:
        assert choose_parts(data, DEFAULT, seed=3) == choose_parts(data, DEFAULT, seed=3)

    def test_a_limit_counts_each_class(self, data: Path) -> None:
        parts = choose_parts(data, DEFAULT, seed=1, limit=5)
        assert len(parts.training) + len(parts.held_out) == 20


class TestPictureGroups:
    def test_copies_and_look_alikes_of_all_splits_share_a_group(self, data: Path) -> None:
        samples = [*list_samples(data, Split.TRAIN), *list_samples(data, Split.VAL)]
        found = find_picture_groups(samples)
        group_of = {(s.split, s.name): group for s, group in zip(samples, found.groups.tolist(), strict=True)}
        leak, val = (Split.TRAIN, "Glioma/images/leak.png"), (Split.VAL, "Glioma/images/scan (0).png")
        assert group_of[leak] == group_of[val]
        assert group_of[Split.TRAIN, "Glioma/images/twin.png"] == group_of[Split.TRAIN, "Glioma/images/scan (3).png"]
        assert len(set(found.groups.tolist())) == len(samples) - 2
        assert found.sha256[samples.index(next(s for s in samples if s.name == leak[1]))] == file_sha256(
            data / "Val" / val[1]
        )
        assert np.array_equal(found.hashes, perceptual_hashes([s.image_path for s in samples]))

    def test_an_image_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jpg"
        path.write_text("no image")
        sample = Sample(Split.TRAIN, "x.jpg", path, path, TumorClass.GLIOMA, ())
        with pytest.raises(DatasetError, match=r"x.jpg cannot be read .*trainer.audit"):
            find_picture_groups([sample])

    def test_pairs_are_found_block_by_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hashes = np.random.default_rng(3).integers(0, 2**63, (20, 2), dtype=np.uint64)
        hashes[13] = hashes[2]
        monkeypatch.setattr(leakage, "ROWS_AT_ONCE", 7)
        rows, columns = leakage.look_alike_pairs(hashes[:12], hashes)
        assert [(row, column) for row, column in zip(rows, columns, strict=True) if row != column] == [(2, 13)]
        assert [array.shape for array in leakage.look_alike_pairs(hashes[:0], hashes)] == [(0,), (0,)]
