"""Windows and lookup tables of a header (PS3.3 C.11.2.1)."""

import numpy as np
import pytest
from pydicom import Dataset

from worker.domain import GreyRange
from worker.intake.voi import View, has_width, linear, sigmoid, views_of


def header(center: object, width: object, function: str | None = None) -> Dataset:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth = center, width
    if function is not None:
        dataset.VOILUTFunction = function
    return dataset


def window(center: float, width: float, function: str | None = None) -> View:
    (view,) = views_of(Dataset(), header(center, width, function))
    return view


def lookup(first: int, outputs: list[int], bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(outputs) % 2**16, first, bits]
    item.LUTData = outputs
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item["LUTData"].VR = "US"
    dataset = Dataset()
    dataset.VOILUTSequence = [item]
    return dataset


def test_linear_is_the_standards_formula() -> None:
    # C.11.2.1.2.1, note 3: center 2048, width 4096 on 0..4095 maps to 0..255 in full
    assert window(2048, 4096).grey_range == GreyRange(0.0, 4095.0)
    table = window(2048, 4096).table(np.array([0.0, 1.0, 2047.0, 2048.0, 4095.0]))
    assert table.tolist() == [0, 0, 127, 128, 255]


def test_linear_of_width_one_is_a_threshold() -> None:
    assert window(10, 1).table(np.array([8.0, 9.0, 10.0, 11.0])).tolist() == [0, 0, 255, 255]


def test_linear_exact() -> None:
    values = np.array([0.0, 0.25, 0.5, 1.0])
    assert window(0.5, 1.0, "LINEAR_EXACT").table(values).tolist() == [0, 64, 128, 255]


def test_sigmoid_is_the_standards_formula() -> None:
    values = np.array([-1e9, 50.0, 100.0, 130.0, 1e9])
    expected = 255 / (1 + np.exp(-4 * (np.clip(values, -1e3, 1e3) - 100) / 60))
    assert window(100, 60, "SIGMOID").table(values).tolist() == np.rint(expected).tolist()


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_begins_and_ends_at_its_grey_range(function: str) -> None:
    view = window(100, 60, function)
    black, white = view.grey_range.black, view.grey_range.white
    assert white - black == pytest.approx(60, abs=1)
    shown = view.table(np.array([black, (black + white) / 2, white])).tolist()
    assert shown == ([0, 128, 255] if function != "SIGMOID" else [30, 128, 225])


def test_another_range_keeps_the_tone() -> None:
    view = window(100, 60, "SIGMOID").over(GreyRange(0.0, 1000.0))
    assert view.table(np.array([0.0, 500.0, 1000.0])).tolist() == [30, 128, 225]


@pytest.mark.parametrize(
    ("center", "width", "expected"),
    [
        (40, 81, [(-0.5, 79.5)]),
        ([40, 50], [81, 91], [(-0.5, 79.5), (4.5, 94.5)]),
        ([40, 50], [0, 91], [(4.5, 94.5)]),
        ([40, 50], [81], [(-0.5, 79.5)]),
        (40, 0, []),
        (40, -5, []),
        (40, float("nan"), []),
        (float("inf"), 80, []),
        (40, 0.5, []),
        (None, 80, []),
        (1e20, 2, []),
        (1e308, 1.7e308, []),
    ],
)
def test_usable_windows(center: object, width: object, expected: list[tuple[float, float]]) -> None:
    views = views_of(Dataset(), header(center, width))
    assert [(view.grey_range.black, view.grey_range.white) for view in views] == expected


def test_function_decides_the_least_width() -> None:
    assert window(0.5, 0.25, "LINEAR_EXACT").grey_range == GreyRange(0.375, 0.625)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_a_width_that_is_lost_in_the_center_is_no_window(function: str) -> None:
    assert views_of(Dataset(), header(100.0, 1e-300, function)) == ()


@pytest.mark.parametrize(
    ("black", "white", "expected"), [(0, 1, True), (1, 1, False), (2, 1, False), (0, float("inf"), False)]
)
def test_width(black: float, white: float, expected: bool) -> None:
    assert has_width(GreyRange(black, white)) is expected


def test_a_lookup_table_maps_its_inputs() -> None:
    (view,) = views_of(lookup(-2, [0, 0, 16384, 65535, 65535]), Dataset())
    assert view.grey_range == GreyRange(-2.0, 2.0)
    assert view.table(np.array([-9.0, -2.0, -1.0, 0.0, 1.0, 9.0])).tolist() == [0, 0, 0, 64, 255, 255]


def test_a_lookup_table_of_65536_entries_says_zero() -> None:
    (view,) = views_of(lookup(0, list(range(2**16))), Dataset())
    assert view.table(np.array([0.0, 2**15, 2**16 - 1])).tolist() == [0, 128, 255]


def test_a_lookup_table_of_words() -> None:
    dataset = lookup(0, [0, 2048, 4095], bits=12)
    dataset.VOILUTSequence[0]["LUTData"].VR = "OW"
    dataset.VOILUTSequence[0].LUTData = np.array([0, 2048, 4095], "<u2").tobytes()
    dataset.set_original_encoding(False, True)
    (view,) = views_of(dataset, Dataset())
    assert view.table(np.array([0.0, 1.0, 2.0])).tolist() == [0, 128, 255]


def test_windows_go_before_the_lookup_table() -> None:
    first, second = views_of(lookup(0, [0, 65535]), header(40, 81))
    assert (first.grey_range, first.tone) == (GreyRange(-0.5, 79.5), linear)
    assert second.grey_range == GreyRange(0.0, 1.0)


def damaged(keyword: str, value: object) -> Dataset:
    dataset = lookup(0, [0, 100, 65535])
    setattr(dataset.VOILUTSequence[0], keyword, value)
    return dataset


@pytest.mark.parametrize(
    "dataset",
    [
        damaged("LUTDescriptor", [1, 0, 16]),
        damaged("LUTDescriptor", [3, 0, 7]),
        damaged("LUTDescriptor", [4096, 0, 8]),
        damaged("LUTDescriptor", [9999, 0, 16]),
        damaged("LUTDescriptor", 3),
        damaged("LUTDescriptor", None),
        damaged("LUTData", None),
        Dataset(),
    ],
)
def test_a_damaged_lookup_table_is_none(dataset: Dataset) -> None:
    assert views_of(dataset, Dataset()) == ()


def test_tones_stay_between_black_and_white() -> None:
    places = np.array([-1e9, 0.0, 0.5, 1.0, 1e9])
    for tone in (linear, sigmoid):
        assert np.all(np.diff(tone(places)) >= 0)
        assert (tone(places).min(), tone(places).max()) == (pytest.approx(0), pytest.approx(1))


def test_the_transfer_syntax_says_how_words_lie() -> None:
    dataset = lookup(0, [0, 2048, 4095], bits=12)
    dataset.VOILUTSequence[0]["LUTData"].VR = "OW"
    dataset.VOILUTSequence[0].LUTData = np.array([0, 2048, 4095], ">u2").tobytes()
    dataset.set_original_encoding(False, False)
    (view,) = views_of(dataset, Dataset())
    assert view.table(np.array([1.0])).tolist() == [128]
