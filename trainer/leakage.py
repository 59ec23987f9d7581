"""Look-alikes: 64-bit perceptual hashes (imagehash.phash), mirror images counted, and the groups they form.

57 % of the published Val images have a near-identical twin in Train; a score with those left in says little.
"""

from collections.abc import Sequence
from pathlib import Path

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

LOOK_ALIKE_DISTANCE = 4
"""Bits of 64 by which two hashes may differ and still count as the same picture (docs/data.md)."""

HashArray = npt.NDArray[np.uint64]


def _as_integer(image_hash: imagehash.ImageHash) -> np.uint64:
    return np.uint64(int(str(image_hash), 16))


def perceptual_hashes(paths: Sequence[Path]) -> HashArray:
    """Hashes of images as `(n, 2)` uint64: as it is, and mirrored left to right."""
    hashes = np.zeros((len(paths), 2), np.uint64)
    for row, path in enumerate(paths):
        with Image.open(path) as image:
            grey = image.convert("L")
        hashes[row] = _as_integer(imagehash.phash(grey)), _as_integer(imagehash.phash(ImageOps.mirror(grey)))
    return hashes


def distances(a: HashArray, b: HashArray) -> npt.NDArray[np.uint8]:
    """Smallest Hamming distance `(n, m)` between the pictures of `a` `(n, 2)` and `b` `(m, 2)`, mirrored or not."""
    straight = np.bitwise_count(a[:, None, 0] ^ b[None, :, 0])
    mirrored = np.bitwise_count(a[:, None, 1] ^ b[None, :, 0])
    return np.asarray(np.minimum(straight, mirrored), np.uint8)


def looks_like_any(a: HashArray, b: HashArray, within: int = LOOK_ALIKE_DISTANCE) -> npt.NDArray[np.bool_]:
    """For each picture of `a` `(n,)`: is one of `b` a look-alike?"""
    if not len(b):
        return np.zeros(len(a), np.bool_)
    return np.asarray((distances(a, b) <= within).any(1))


def look_alike_groups(hashes: HashArray, within: int = LOOK_ALIKE_DISTANCE) -> npt.NDArray[np.int64]:
    """Group number `(n,)` of each picture; look-alikes, directly or through others, share one."""
    _, groups = connected_components(csr_array(distances(hashes, hashes) <= within), directed=False)
    return np.asarray(groups, np.int64)
