"""What lies off the subspace of the training images is far from it."""

from pathlib import Path

import numpy as np
import pytest

from trainer.runtime.novelty import TrainingSubspace


@pytest.fixture
def plane() -> TrainingSubspace:
    """The first two of five axes, through a point on the third."""
    return TrainingSubspace(np.array([0, 0, 1, 0, 0], np.float32), np.eye(5, dtype=np.float32)[:2])


def test_only_what_is_off_the_plane_counts(plane: TrainingSubspace) -> None:
    features = np.array([[0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [3, 4, 0, 0, 0]], np.float32)
    off = np.array([0, np.hypot(1 - 0.5**0.5, 0.5**0.5), 1])
    assert plane.distances(features) == pytest.approx(off, abs=1e-6)


def test_the_length_of_the_features_does_not(plane: TrainingSubspace) -> None:
    features = np.array([[1, 2, 3, 4, 5]], np.float32)
    assert plane.distances(7 * features) == pytest.approx(plane.distances(features))


def test_features_of_nothing_are_no_error(plane: TrainingSubspace) -> None:
    assert plane.distances(np.zeros((1, 5), np.float32)) == pytest.approx([1.0])


def test_it_is_read_back(plane: TrainingSubspace, tmp_path: Path) -> None:
    plane.write(tmp_path / "novelty.npz")
    again = TrainingSubspace.read(tmp_path / "novelty.npz")
    assert np.array_equal(again.mean, plane.mean)
    assert np.array_equal(again.components, plane.components)
    assert again.components.dtype == np.float32


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": np.zeros(3)}, r"it holds \['mean'\] instead"),
        ({"mean": np.zeros(3), "components": np.zeros((2, 4))}, r"\(3,\) and \(2, 4\) instead"),
        ({"mean": np.zeros(3), "components": np.full((2, 3), np.nan)}, "not all finite"),
        ({"mean": np.array([None]), "components": np.zeros((1, 1))}, "allow_pickle"),
    ],
)
def test_another_file_is_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "novelty.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        TrainingSubspace.read(tmp_path / "novelty.npz")
