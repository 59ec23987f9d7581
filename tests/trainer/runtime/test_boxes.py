"""Decoding and suppression."""

import numpy as np
import pytest

from trainer.runtime.boxes import MAX_DETECTIONS, decode, iou_matrix, locations, suppress
from trainer.runtime.preprocess import letterbox
from trainer.runtime.records import BOX_CHANNELS, GLAND_CHANNEL, FloatArray, NetworkOutput

SIZE = 64
CENTRES = locations(SIZE)


def silent_output() -> NetworkOutput:
    """Nothing anywhere: to be changed location by location."""
    count = len(CENTRES)
    return NetworkOutput(
        np.zeros((1, 4), np.float32),
        np.zeros((1, 8), np.float32),
        np.full((1, count, BOX_CHANNELS), -20, np.float32),
        np.full((1, count, 4), 8, np.float32),
        np.full((1, count), 20, np.float32),
    )


def location_at(x: float, y: float) -> int:
    return int(np.abs(CENTRES - (x, y)).sum(1).argmin())


def boxes(*rows: list[float]) -> FloatArray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_locations_cover_three_levels() -> None:
    assert len(CENTRES) == 64 + 16 + 4
    assert CENTRES[[0, 64, 80]].tolist() == [[4, 4], [8, 8], [16, 16]]


def test_iou_by_hand() -> None:
    found = iou_matrix(boxes([0, 0, 2, 2], [5, 5, 5, 5]), boxes([1, 0, 3, 2], [0, 0, 2, 2], [9, 9, 10, 10]))
    assert found == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))


def test_suppression_keeps_the_best_of_an_overlap() -> None:
    kept = suppress(boxes([0, 0, 10, 10], [1, 0, 10, 10], [20, 20, 30, 30]), np.array([0.5, 0.9, 0.2], np.float32))
    assert kept.tolist() == [1, 2]


def test_nothing_to_suppress() -> None:
    assert suppress(boxes(), np.zeros(0, np.float32)).shape == (0,)


def test_a_box_comes_out_in_image_pixels() -> None:
    output = silent_output()
    index = location_at(28, 28)
    output.box_logits[0, index, 1] = 0.0
    output.box_distances[0, index] = 4, 8, 12, 16
    _, fitted = letterbox(np.zeros((64, 128), np.uint8), SIZE)
    found = decode(output, 0, fitted, 0.02)
    assert found.xyxy.tolist() == [[48.0, 8.0, 80.0, 56.0]]
    assert found.labels.tolist() == [1]
    assert found.scores == pytest.approx([0.5**0.5])


def test_where_the_kind_is_open_the_lesion_is_surer_than_each_kind() -> None:
    output = silent_output()
    index = location_at(28, 28)
    output.box_logits[0, index, :2] = 0.0
    output.box_distances[0, index] = 4, 8, 12, 16
    _, fitted = letterbox(np.zeros((64, 128), np.uint8), SIZE)
    found = decode(output, 0, fitted, 0.02)
    assert found.scores == pytest.approx([0.5**0.5])
    assert found.any_kind_scores == pytest.approx([0.75**0.5], rel=1e-3)


def test_glands_are_never_reported() -> None:
    output = silent_output()
    output.box_logits[0, location_at(28, 28), GLAND_CHANNEL] = 8.0
    _, fitted = letterbox(np.zeros((64, 64), np.uint8), SIZE)
    assert not len(decode(output, 0, fitted, 0.02).scores)


def test_scores_fall_and_are_bounded_in_number() -> None:
    output = silent_output()
    output.box_logits[0, :, 0] = np.linspace(-2, 2, len(CENTRES))
    output.box_distances[:] = 2
    _, fitted = letterbox(np.zeros((64, 64), np.uint8), SIZE)
    found = decode(output, 0, fitted, 0.02)
    assert len(found.scores) == MAX_DETECTIONS
    assert (np.diff(found.scores) <= 0).all()
