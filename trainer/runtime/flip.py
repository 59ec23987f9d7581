"""Looking twice: the mirrored image's output turned back and averaged with the plain one (test-time augmentation)."""

import numpy as np

from trainer.runtime.boxes import LEVEL_STRIDES
from trainer.runtime.records import FloatArray, NetworkOutput

_MIRRORED_SIDES = [2, 1, 0, 3]
"""Left and right change places among the four box distances (left, top, right, bottom)."""


def _mirror_locations(values: FloatArray, size: int) -> FloatArray:
    """Turn values per location `(n, l, …)` left to right, level by level."""
    start, turned = 0, []
    for stride in LEVEL_STRIDES:
        side = size // stride
        # (n, side * side, …) to (n, row, column, …) and back
        level = values[:, start : start + side * side]
        grid = level.reshape(len(level), side, side, *level.shape[2:])
        turned.append(grid[:, :, ::-1].reshape(level.shape))
        start += side * side
    return np.concatenate(turned, 1)


def _mean(a: FloatArray, b: FloatArray) -> FloatArray:
    return ((a + b) / 2).astype(np.float32)


def average_with_mirrored(plain: NetworkOutput, mirrored: NetworkOutput, size: int) -> NetworkOutput:
    """Average the outputs for a batch and for the same batch mirrored left to right.

    Boxes are averaged where they are predicted, before any suppression, so a lesion seen twice stays one box.
    """
    distances = _mirror_locations(mirrored.box_distances, size)[..., _MIRRORED_SIDES]
    return NetworkOutput(
        _mean(plain.class_logits, mirrored.class_logits),
        _mean(plain.features, mirrored.features),
        _mean(plain.box_logits, _mirror_locations(mirrored.box_logits, size)),
        _mean(plain.box_distances, distances),
        _mean(plain.centreness_logits, _mirror_locations(mirrored.centreness_logits, size)),
    )
