"""Look-alikes: 64-bit perceptual hashes (imagehash.phash), mirror images counted, and the groups they form.

423 of the 512 published Val images have one in Train; a score with those left in says little (docs/data.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from rich.progress import track
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from trainer.grey import read_picture
from trainer.labels import Sample
from trainer.runtime.bundle import file_sha256
from trainer.terminal import PROGRESS

LOOK_ALIKE_DISTANCE = 4
"""Bits of 64 by which two hashes may differ and still count as the same picture (docs/data.md)."""

ROWS_AT_ONCE = 512
"""Hashes compared with all others in one step: 5,000 images would otherwise need 200 MB for the matrix of bits."""

HashArray = npt.NDArray[np.uint64]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PictureGroups:
    """Which images show the same picture. Every division of the data keeps a group on one side.

    Attributes:
        samples: `n` images, in the order given.
        sha256: hex digest of each file.
        hashes: `(n, 2)` uint64, perceptual hash as it is and mirrored left to right.
        groups: `(n,)` int64, group number from 0; byte-identical files and look-alikes, directly or through others,
            share one.
    """

    samples: Sequence[Sample]
    sha256: Sequence[str]
    hashes: HashArray
    groups: IndexArray


def _as_integer(image_hash: imagehash.ImageHash) -> np.uint64:
    return np.uint64(int(str(image_hash), 16))


def picture_hash(grey: Image.Image) -> tuple[np.uint64, np.uint64]:
    """Hash of a decoded image of mode L: as it is, and mirrored left to right."""
    return _as_integer(imagehash.phash(grey)), _as_integer(imagehash.phash(ImageOps.mirror(grey)))


def perceptual_hashes(paths: Sequence[Path]) -> HashArray:
    """Hashes of images as `(n, 2)` uint64: as it is, and mirrored left to right.

    Raises:
        DatasetError: an image cannot be read.
    """
    hashes = np.zeros((len(paths), 2), np.uint64)
    for row, path in enumerate(paths):
        hashes[row] = picture_hash(read_picture(path))
    return hashes


def distances(a: HashArray, b: HashArray) -> npt.NDArray[np.uint8]:
    """Smallest Hamming distance `(n, m)` uint8, in bits of 64, between the pictures of `a` `(n, 2)` and `b` `(m, 2)`.

    As they are, with the picture of `a` mirrored, or with that of `b` mirrored: the hash of a mirror image is not a
    function of the hash, so the last two can differ by some bits, and only the smaller of both is symmetric.
    """
    nearest = np.bitwise_count(a[:, None, 0] ^ b[None, :, 0])
    np.minimum(nearest, np.bitwise_count(a[:, None, 1] ^ b[None, :, 0]), out=nearest)
    np.minimum(nearest, np.bitwise_count(a[:, None, 0] ^ b[None, :, 1]), out=nearest)
    return np.asarray(nearest, np.uint8)


def looks_like_any(a: HashArray, b: HashArray, within: int = LOOK_ALIKE_DISTANCE) -> npt.NDArray[np.bool_]:
    """For each picture of `a` `(n,)`: is one of `b` a look-alike?"""
    if not len(b):
        return np.zeros(len(a), np.bool_)
    return np.asarray((distances(a, b) <= within).any(1))


def look_alike_pairs(a: HashArray, b: HashArray, within: int = LOOK_ALIKE_DISTANCE) -> tuple[IndexArray, IndexArray]:
    """Rows of `a` and rows of `b`, `(k,)` each, that show the same picture; memory grows with the shorter side only."""
    rows: list[IndexArray] = []
    columns: list[IndexArray] = []
    for start in range(0, len(a), ROWS_AT_ONCE):
        row, column = np.nonzero(distances(a[start : start + ROWS_AT_ONCE], b) <= within)
        rows.append(row + start)
        columns.append(column)
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(rows), np.concatenate(columns)


def look_alike_groups(hashes: HashArray, within: int = LOOK_ALIKE_DISTANCE) -> IndexArray:
    """Group number `(n,)` of each picture of `hashes` `(n, 2)`; look-alikes, directly or through others, share one."""
    rows, columns = look_alike_pairs(hashes, hashes, within)
    pairs = csr_array((np.ones(len(rows), np.bool_), (rows, columns)), shape=(len(hashes), len(hashes)))
    _, groups = connected_components(pairs, directed=False)
    return np.asarray(groups, np.int64)


def find_picture_groups(samples: Sequence[Sample]) -> PictureGroups:
    """Hash every image, with a bar on standard error, and group those that show the same picture.

    Byte-identical files have equal hashes, so the look-alike groups hold them too.

    Raises:
        DatasetError: an image cannot be read.
    """
    hashes = np.zeros((len(samples), 2), np.uint64)
    digests = []
    title = f"comparing {len(samples)} images"
    for row, sample in enumerate(track(samples, title, console=PROGRESS, transient=True)):
        hashes[row] = picture_hash(read_picture(sample.image_path))
        digests.append(file_sha256(sample.image_path))
    return PictureGroups(samples, digests, hashes, look_alike_groups(hashes))
