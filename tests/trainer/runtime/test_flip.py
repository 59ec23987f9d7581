"""Looking twice."""

import numpy as np
import pytest

from trainer.runtime.boxes import decode, locations
from trainer.runtime.flip import average_with_mirrored
from trainer.runtime.preprocess import letterbox
from trainer.runtime.records import BOX_CHANNELS, NetworkOutput

SIZE = 96
CENTRES = locations(SIZE)


def one_box(x: float, y: float, distances: tuple[float, ...]) -> NetworkOutput:
    count = len(CENTRES)
    output = NetworkOutput(
        np.zeros((1, 4), np.float32),
        np.zeros((1, 8), np.float32),
        np.full((1, count, BOX_CHANNELS), -9, np.float32),
        np.ones((1, count, 4), np.float32),
        np.zeros((1, count), np.float32),
    )
    index = int(np.abs(CENTRES - (x, y)).sum(1).argmin())
    output.box_logits[0, index, 2] = 3
    output.box_distances[0, index] = distances
    return output


def test_the_same_lesion_seen_in_the_mirror_stays_the_same_box() -> None:
    plain = one_box(20, 36, (6, 7, 12, 9))
    mirrored = one_box(SIZE - 20, 36, (12, 7, 6, 9))
    _, fitted = letterbox(np.zeros((SIZE, SIZE), np.uint8), SIZE)
    alone = decode(plain, 0, fitted, 0.1)
    both = decode(average_with_mirrored(plain, mirrored, SIZE), 0, fitted, 0.1)
    assert both.xyxy == pytest.approx(alone.xyxy)
    assert both.scores == pytest.approx(alone.scores)


def test_logits_are_averaged() -> None:
    plain, mirrored = one_box(20, 36, (1, 1, 1, 1)), one_box(76, 36, (1, 1, 1, 1))
    plain.class_logits[:] = 4
    assert average_with_mirrored(plain, mirrored, SIZE).class_logits.tolist() == [[2, 2, 2, 2]]
