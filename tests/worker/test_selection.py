"""The best series of a study are read, and the others named with their reason."""

from dataclasses import replace

from tests.worker.filing import AXIAL, header
from worker.domain import Acquisition, InstanceHeader, PixelGeometry
from worker.selection import choose, chosen_headers

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
T1, T2 = Acquisition(10.0, 500.0), Acquisition(100.0, 4500.0)
T1_CONTRAST = replace(T1, has_contrast_agent=True)
FLAIR = Acquisition(120.0, 9000.0, 2500.0)


def series(
    name: str,
    acquisition: Acquisition = T1,
    slices: int = 5,
    apart: float = 5.0,
    orientation: tuple[float, ...] = AXIAL,
    pixel_mm: float = 1.0,
) -> list[InstanceHeader]:
    """A series named by its number and description."""
    number = int(name.split(maxsplit=1)[0])
    axis = 2 if orientation == AXIAL else 0
    return [
        header(
            1000 * number + n,
            series_uid=f"1.2.{number}",
            series_number=number,
            series_description=name,
            acquisition=acquisition,
            geometry=PixelGeometry(
                80, 80, (pixel_mm, pixel_mm), tuple(n * apart if i == axis else 0.0 for i in range(3)), orientation
            ),
        )
        for n in range(slices)
    ]


def read(headers: list[InstanceHeader], most: int) -> list[str]:
    return [choice.volume.name for choice in choose(headers, most) if choice.is_read]


def test_everything_is_read_where_it_is_not_too_much() -> None:
    headers = series("1 a") + series("2 b", T2)
    assert read(headers, 2) == ["1 a", "2 b"]
    assert len(chosen_headers(choose(headers, 2))) == 10


def test_one_of_each_weighting_goes_first() -> None:
    headers = [
        *series("1 t2", T2),
        *series("2 t1"),
        *series("3 flair", FLAIR),
        *series("4 other", Acquisition(20.0, 3000.0)),
        *series("5 contrast", T1_CONTRAST),
        *series("6 contrast", T1_CONTRAST, orientation=SAGITTAL),
    ]
    assert read(headers, 1) == ["5 contrast"]
    assert read(headers, 3) == ["2 t1", "3 flair", "5 contrast"]
    assert read(headers, 4) == ["1 t2", "2 t1", "3 flair", "5 contrast"]
    assert read(headers, 5) == ["1 t2", "2 t1", "3 flair", "5 contrast", "6 contrast"]


def test_another_plane_goes_before_a_second_of_the_same() -> None:
    headers = series("1 sagittal", orientation=SAGITTAL) + series("2 axial") + series("3 axial again")
    assert read(headers, 1) == ["2 axial"]
    assert read(headers, 2) == ["1 sagittal", "2 axial"]


def test_of_the_same_kind_what_shows_more_of_the_head_then_what_is_finer() -> None:
    assert read(series("1 few", slices=2) + series("2 head", slices=20), 1) == ["2 head"]
    assert read(series("1 part", slices=10) + series("2 head", slices=30), 1) == ["2 head"]
    assert read(series("1 coarse") + series("2 fine", pixel_mm=0.5), 1) == ["2 fine"]


def test_a_series_that_is_not_read_says_why() -> None:
    (_, left_out) = choose(series("1 a", slices=30) + series("2 b"), 1)
    assert left_out.why_not == "Other series that show more are read, 1 at most (TRIAGE_MAX_SERIES)."


def test_of_a_time_series_one_volume_is_read_whatever_the_room() -> None:
    times = [
        replace(head, acquisition=replace(T1, time_point=time), sop_uid=f"1.2.{time}.{head.sop_uid}",
                sha256=f"{time}{head.sha256[1:]}")
        for time in (1, 2, 3)
        for head in series("1 perfusion")
    ]  # fmt: skip
    choices = choose(times, 8)
    assert [choice.is_read for choice in choices] == [True, False, False]
    assert choices[1].why_not == "Another scan of the same slices in this series is read."
