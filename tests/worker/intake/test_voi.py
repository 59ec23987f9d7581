"""Windows of PS3.3 C.11.2.1.2."""

import numpy as np
import pytest
from pydicom import Dataset

from worker.intake.voi import Window, windows_of


def test_linear_is_the_standards_formula() -> None:
    # C.11.2.1.2.1, note 3: center 2048, width 4096 on 0..4095 maps to 0..255 in full
    table = Window(2048, 4096).table(np.array([0.0, 1.0, 2047.0, 2048.0, 4095.0]))
    assert table.tolist() == [0, 0, 127, 128, 255]


def test_linear_of_width_one_is_a_threshold() -> None:
    assert Window(10, 1).table(np.array([9.0, 9.5, 10.0])).tolist() == [0, 0, 255]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_begins_and_ends_at_its_grey_range(function: str) -> None:
    window = Window(100, 60, function)
    black, white = window.grey_range.black, window.grey_range.white
    assert white - black == pytest.approx(60, abs=1)
    shown = window.table(np.array([black, (black + white) / 2, white])).tolist()
    assert shown == ([0, 128, 255] if function != "SIGMOID" else [30, 128, 225])


def test_linear_exact_and_sigmoid() -> None:
    values = np.array([0.0, 0.25, 0.5, 1.0])
    assert Window(0.5, 1.0, "LINEAR_EXACT").table(values).tolist() == [0, 64, 128, 255]
    sigmoid = Window(0.5, 1.0, "SIGMOID").table(np.array([-1e9, 0.5, 1e9]))
    assert sigmoid.tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("center", "width", "expected"),
    [
        (40, 80, [(40, 80)]),
        ([40, 50], [80, 90], [(40, 80), (50, 90)]),
        ([40, 50], [0, 90], [(50, 90)]),
        ([40, 50], [80], [(40, 80)]),
        (40, 0, []),
        (40, -5, []),
        (40, float("nan"), []),
        (float("inf"), 80, []),
        (40, 0.5, []),
        (None, 80, []),
    ],
)
def test_usable_windows(center: object, width: object, expected: list[tuple[float, float]]) -> None:
    dataset = Dataset()
    dataset.WindowCenter = center
    dataset.WindowWidth = width
    assert [(window.center, window.width) for window in windows_of(dataset)] == expected


def test_function_decides_the_least_width() -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 0.5, 0.25, "LINEAR_EXACT"
    assert windows_of(dataset) == (Window(0.5, 0.25, "LINEAR_EXACT"),)
