"""How the data set is divided so that no picture, and no look-alike of it, stands on two sides. No torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from trainer.labels import Sample, Split
from trainer.leakage import PictureGroups, looks_like_any

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LeakFilter:
    """Which Train images may be trained on, and why the others may not.

    Attributes:
        kept: rows `(k,)` of the pictures that are left, all of Train.
        look_alikes_of_val: how many were dropped as look-alikes of a Val image.
        duplicates: how many as byte-identical repeats of another Train image.
    """

    kept: IndexArray
    look_alikes_of_val: int
    duplicates: int


@dataclass(frozen=True)
class Fold:
    """Rows of the pictures: to train on, to calibrate on, to test on."""

    training: IndexArray
    held_out: IndexArray
    test: IndexArray


def class_indices(samples: Sequence[Sample]) -> IndexArray:
    """`(n,)` indices into `CLASSES`."""
    return np.array([sample.class_index for sample in samples], np.int64)


def first_of_each_file(pictures: PictureGroups, rows: IndexArray) -> IndexArray:
    """`rows` without those whose bytes an earlier row has."""
    digests = np.array(pictures.sha256)[rows]
    return rows[np.sort(np.unique(digests, return_index=True)[1])]


def without_leakage(pictures: PictureGroups) -> LeakFilter:
    """Drop Train images that look like a Val image, then byte-identical repeats within Train.

    An image that looks like a dropped one, but itself like no Val image, stays: the protocol is about pairs, and chains
    of look-alikes end at other heads.
    """
    in_val = np.array([sample.split is Split.VAL for sample in pictures.samples], np.bool_)
    train = np.flatnonzero(~in_val)
    leaky = looks_like_any(pictures.hashes[train], pictures.hashes[in_val])
    kept = first_of_each_file(pictures, train[~leaky])
    return LeakFilter(kept, int(leaky.sum()), int((~leaky).sum()) - len(kept))


def hold_out(classes: IndexArray, groups: IndexArray, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Mark about `share` of every class as held out `(n,)`, in whole groups.

    Args:
        classes: `(n,)` class indices.
        groups: `(n,)` group numbers.
        share: of each class, at most; within 0 and 1.
        seed: of the order in which groups are looked at.
    """
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    wanted = np.bincount(classes) * share
    taken = np.zeros(len(wanted))
    held_out = np.zeros(len(classes), np.bool_)
    for group in order:
        members = np.flatnonzero(groups == group)
        counts = np.bincount(classes[members], minlength=len(wanted))
        if (taken + counts <= wanted + 0.5).all():
            held_out[members] = True
            taken += counts
    return held_out


def grouped_folds(
    pictures: PictureGroups, rows: IndexArray, count: int, held_out_share: float, seed: int
) -> Iterator[Fold]:
    """Divide `rows` into `count` folds of whole look-alike groups, classes in proportion.

    Every row is tested in exactly one fold; of the others a share is held out for the calibration, in whole groups too.
    """
    classes, groups = class_indices(pictures.samples)[rows], pictures.groups[rows]
    division = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for learn, test in division.split(rows, classes, groups):
        held_out = hold_out(classes[learn], groups[learn], held_out_share, seed)
        yield Fold(rows[learn[~held_out]], rows[learn[held_out]], rows[test])
