"""What is shown: a view of the header where it shows the picture, the range of the series, or that of the pixels."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tests.worker.intake.conftest import head_picture
from worker.domain import GreyRange
from worker.intake.display import SCALED_UNLIKE_SERIES, WINDOW_NOT_USED, Showable
from worker.intake.grey import Histogram, levels_of
from worker.intake.rescale import Rescale
from worker.intake.voi import View, sigmoid

Picture = npt.NDArray[np.int16]


def not_counted() -> Histogram:
    raise AssertionError("all frames were decoded, which was not needed")


def noise(sigma: float) -> Picture:
    """`(96, 80)` int16 magnitude noise, as beside a head."""
    return np.rint(np.random.default_rng(3).rayleigh(sigma, (96, 80))).astype(np.int16)


def scan(top: int, sigma: float = 5) -> Picture:
    return np.maximum(head_picture(top=top), noise(sigma))


def showable(picture: Picture, *views: View, rescale: Rescale = Rescale(1.0, 0.0)) -> Showable:  # noqa: B008
    histogram = levels_of(picture).histogram
    return Showable(rescale, views, bool(views), False, None, histogram, lambda: histogram)


def view(black: float, white: float) -> View:
    return View(GreyRange(black, white))


SERIES = GreyRange(0.0, 1000.0)
HEAD = scan(1000)


def test_the_first_view_that_shows_the_picture() -> None:
    nonsense, good, other = view(-9000, -8990), view(0, 1000), view(0, 800)
    display = showable(HEAD, nonsense, good, other).display()
    assert (display.grey_range, display.warning) == (good.grey_range, None)


@pytest.mark.parametrize(
    "nonsense",
    [
        view(-9000, -8990),  # all white
        view(9000, 9010),  # all black
        view(500, 508),  # a silhouette
        view(0, 10),  # tissue white, air black
        view(0, 65535),  # all dark
        view(-30000, 30000),  # all of one grey
        view(-1e6, 2000),  # nearly white
    ],
)
def test_a_view_that_shows_nothing_is_replaced_with_a_word(nonsense: View) -> None:
    display = showable(HEAD, nonsense).display()
    assert display.grey_range == showable(HEAD).display().grey_range
    assert display.warning == WINDOW_NOT_USED


@pytest.mark.parametrize("white", [700, 1000, 2000, 4000])
def test_a_view_of_a_sensible_width_stays(white: float) -> None:
    assert showable(HEAD, view(0, white)).display().grey_range == GreyRange(0, white)


def test_no_window_is_no_warning() -> None:
    assert showable(HEAD).display().warning is None


def test_the_range_of_the_pixels_is_in_rescaled_units() -> None:
    stored = showable(HEAD).display().grey_range
    scaled = showable(HEAD, rescale=Rescale(2.0, -100.0)).display().grey_range
    assert scaled == GreyRange(2 * stored.black - 100, 2 * stored.white - 100)
    inverted = showable(HEAD, rescale=Rescale(-1.0, 0.0)).display().grey_range
    assert inverted == GreyRange(-stored.white, -stored.black)


def test_monochrome1_is_turned() -> None:
    plain, turned = showable(HEAD), replace(showable(HEAD), is_inverted=True)
    assert np.array_equal(turned.display().table, 255 - plain.display().table)
    assert turned.display().grey_range == plain.display().grey_range


# -- the range of the series


def test_the_series_goes_before_the_window() -> None:
    display = showable(HEAD, view(0, 700)).display(SERIES)
    assert (display.grey_range, display.warning) == (SERIES, None)


def test_alone_and_by_its_own_range_are_the_same_picture() -> None:
    for picture in (showable(HEAD), showable(HEAD, view(0, 800)), showable(HEAD, View(SERIES, sigmoid))):
        alone = picture.display()
        again = picture.display(alone.grey_range)
        assert np.array_equal(again.table, alone.table)
        assert (again.grey_range, again.warning) == (alone.grey_range, alone.warning)


def test_the_tone_of_the_header_goes_with_the_range_of_the_series() -> None:
    table = showable(HEAD, View(GreyRange(0.0, 800.0), sigmoid)).display(SERIES).table
    assert table[2**15 + 500] == 128
    assert table[2**15 + 1000] == 225


def test_an_unused_window_is_named_within_a_series_too() -> None:
    display = showable(HEAD, view(-9000, -8990)).display(SERIES)
    assert (display.grey_range, display.warning) == (SERIES, WINDOW_NOT_USED)


@pytest.mark.parametrize("window", [(), (view(0, 20_000),)])
def test_a_slice_of_a_brighter_scale_is_shown_by_itself(window: tuple[View, ...]) -> None:
    picture = showable(scan(20_000, sigma=100), *window)
    display = picture.display(SERIES)
    assert display.grey_range == picture.display().grey_range
    assert display.warning == SCALED_UNLIKE_SERIES


@pytest.mark.parametrize("black", [0.0, 5_000.0])
def test_a_slice_of_a_far_fainter_scale_is_shown_by_itself(black: float) -> None:
    display = showable(scan(1000), view(0, 1000)).display(GreyRange(black, 1_000_000.0))
    assert (display.grey_range, display.warning) == (GreyRange(0, 1000), SCALED_UNLIKE_SERIES)


@pytest.mark.parametrize("series", [GreyRange(0.0, 1000.0), GreyRange(60.0, 900.0), GreyRange(60.0, 9000.0)])
@pytest.mark.parametrize("window", [(), (view(0, 25),)])
def test_air_beside_the_head_stays_dark(series: GreyRange, window: tuple[View, ...]) -> None:
    """Scanners give every slice a window of its own; noise by its own would look like a head."""
    display = showable(noise(8), *window).display(series)
    assert (display.grey_range, display.warning) == (series, None)


def test_the_shimmer_at_the_end_of_the_head_stays_dark() -> None:
    display = showable(scan(40, sigma=2), view(0, 40)).display(GreyRange(60.0, 1000.0))
    assert display.grey_range == GreyRange(60.0, 1000.0)


def test_air_shown_dark_by_its_window_is_no_fault() -> None:
    assert showable(noise(8), view(60, 1000)).display().warning is None
    assert showable(noise(8), view(-900, -800)).display().warning == WINDOW_NOT_USED
    assert replace(showable(noise(8)), names_window=True).display().warning == WINDOW_NOT_USED


def test_a_series_range_without_width_is_no_range() -> None:
    assert showable(HEAD, view(0, 800)).display(GreyRange(5.0, 5.0)).grey_range == GreyRange(0, 800)


def inverted(picture: Picture, *views: View, top: int = 1000) -> Showable:
    """The same picture as MONOCHROME1: air has the largest value."""
    return replace(showable((top - picture).astype(np.int16), *views), is_inverted=True)


def test_monochrome1_keeps_its_window() -> None:
    head = inverted(head_picture(top=999), view(0, 1000))
    assert (head.display().grey_range, head.display().warning) == (GreyRange(0, 1000), None)
    assert (head.display(SERIES).grey_range, head.display(SERIES).warning) == (SERIES, None)


def test_monochrome1_of_a_brighter_scale_is_shown_by_itself() -> None:
    bright = inverted(head_picture(top=20_000), top=20_000)
    assert bright.display(SERIES).warning == SCALED_UNLIKE_SERIES


def test_a_slice_that_lies_beside_the_range_is_shown_by_itself() -> None:
    """Signed pixels in a series without: the offset is another, and the width."""
    picture = showable(scan(4000) - np.int16(5000))
    assert picture.display(SERIES).warning == SCALED_UNLIKE_SERIES


# -- frames


def test_a_range_that_shows_the_middle_frame_needs_no_other() -> None:
    picture = replace(showable(HEAD, view(-9000, -8990)), whole=not_counted)
    assert picture.display(SERIES).grey_range == SERIES


def test_a_blank_middle_frame_does_not_decide() -> None:
    blank = np.zeros((96, 80), np.int16)
    picture = replace(showable(blank), whole=lambda: levels_of(HEAD).histogram)
    assert picture.display(SERIES).grey_range == SERIES
    assert picture.display().grey_range == showable(HEAD).display().grey_range
