"""Identity, windows and completeness of studies."""

from dataclasses import replace

import pytest

from tests.worker.conftest import NOON
from tests.worker.filing import QUIET, QUIET_MAX, header, seconds
from worker.domain import GreyRange, InstanceHeader, PixelGeometry, StudyKind
from worker.studies import missing_instance_numbers, public_study_id, ready_at, series_ranges

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def at(position: tuple[float, float, float] | None, orientation: tuple[float, ...] | None, **changes) -> InstanceHeader:
    geometry = PixelGeometry(80, 80, (1.0, 1.0), position, orientation)
    return replace(header(1), geometry=geometry, **changes)


def test_the_public_name_is_a_hash_of_the_uid() -> None:
    assert public_study_id("1.2.3") == public_study_id("1.2.3") != public_study_id("1.2.4")
    assert len(public_study_id("1.2.3")) == 12
    assert int(public_study_id("1.2.3"), 16)


def test_a_public_id_that_another_study_has_is_followed_by_others() -> None:
    ids = {public_study_id("1.2.3", taken) for taken in range(10)}
    assert len(ids) == 10
    assert all(len(each) == 12 and int(each, 16) for each in ids)


class TestReady:
    def test_an_image_at_once(self) -> None:
        assert ready_at(StudyKind.IMAGE, NOON, NOON, QUIET, QUIET_MAX) == NOON

    @pytest.mark.parametrize(
        ("last_arrival", "ready"),
        [(0, 20), (100, 120), (580, 600), (595, 600), (700, 700)],
        ids=["first", "later", "just before the cap", "capped", "after the cap at once"],
    )
    def test_dicom_when_quiet_or_at_the_cap(self, last_arrival: float, ready: float) -> None:
        found = ready_at(StudyKind.DICOM, NOON, NOON + seconds(last_arrival), QUIET, QUIET_MAX)
        assert found == NOON + seconds(ready)


class TestGreyRange:
    def test_a_series_is_shown_by_the_medians_of_its_slices(self) -> None:
        whites = (900.0, 1000.0, 5000.0)
        headers = [header(n, grey_range=GreyRange(10.0 * n, white)) for n, white in enumerate(whites)]
        headers += [header(7, series_uid="1.2.3.77", grey_range=GreyRange(1.0, 2.0)), header(8, None)]
        assert series_ranges(headers) == {
            headers[0].series_uid: GreyRange(10.0, 1000.0),
            "1.2.3.77": GreyRange(1.0, 2.0),
        }


class TestMissing:
    @staticmethod
    def numbered(*numbers: int | None, series_uid: str = "1.9") -> list[InstanceHeader]:
        return [header(n, instance_number=number, series_uid=series_uid) for n, number in enumerate(numbers)]

    def test_gaps_between_first_and_last(self) -> None:
        assert missing_instance_numbers(self.numbered(3, 7, 4)) == {"1.9": (5, 6)}

    @pytest.mark.parametrize("numbers", [(), (None, None), (5,), (4, 2, 3), (1, 1, 2)])
    def test_none(self, numbers: tuple[int | None, ...]) -> None:
        assert missing_instance_numbers(self.numbered(*numbers)) == {}

    def test_each_series_on_its_own(self) -> None:
        first, second = self.numbered(1, 3, series_uid="1.1"), self.numbered(100, 101, series_uid="1.2")
        third = self.numbered(5, 8, series_uid="1.3")
        assert missing_instance_numbers([*first, *second, *third]) == {"1.1": (2,), "1.3": (6, 7)}

    def test_numbers_that_are_no_count_prove_nothing(self) -> None:
        assert missing_instance_numbers(self.numbered(1, 2_000_000_000)) == {}
