"""What of a series belongs together, in which order, and where slices are missing or doubled."""

import random
from dataclasses import replace

import pytest

from tests.worker.filing import AXIAL, header
from worker.domain import Acquisition, InstanceHeader, PixelGeometry
from worker.volumes import Plane, Volume, reading_order, volumes_of

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def at(position: tuple[float, float, float] | None, orientation: tuple[float, ...] | None, **changes) -> InstanceHeader:
    geometry = PixelGeometry(80, 80, (1.0, 1.0), position, orientation)
    return replace(header(1), geometry=geometry, **changes)


def stack(*depths: float, first: int = 1, **acquisition: object) -> list[InstanceHeader]:
    """Axial slices at these depths, millimetres, acquired one after the other."""
    how = Acquisition(**acquisition)  # type: ignore[arg-type]
    return [
        at((0.0, 0.0, depth), AXIAL, instance_number=first + n, sop_uid=f"1.2.{first + n}", acquisition=how)
        for n, depth in enumerate(depths)
    ]


def parts(headers: list[InstanceHeader]) -> list[tuple[str, int, tuple[float, ...] | None]]:
    return [(volume.part, volume.repetition, volume.depths_mm) for volume in volumes_of(headers)]


class TestOrder:
    @pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL], ids=["axial", "sagittal"])
    def test_along_the_normal_whatever_the_instance_numbers(self, orientation: tuple[float, ...]) -> None:
        axis = 2 if orientation == AXIAL else 0
        positions = [tuple(float(depth) if i == axis else 5.0 for i in range(3)) for depth in (-30, -1, 4, 90)]
        numbers = (2, 9, 4, 1)
        headers = [at(p, orientation, instance_number=n) for p, n in zip(positions, numbers, strict=True)]
        shuffled = random.Random(1).sample(headers, 4)
        found = reading_order(shuffled)
        assert found in (headers, headers[::-1])
        assert found == reading_order(shuffled[::-1])

    def test_without_positions_by_instance_number(self) -> None:
        headers = [at(None, AXIAL, instance_number=number) for number in (2, 10, 1)]
        assert [h.instance_number for h in reading_order(headers)] == [1, 2, 10]

    def test_positions_without_an_orientation_say_nothing(self) -> None:
        headers = [at((0.0, 0.0, -float(number)), None, instance_number=number) for number in (2, 1)]
        assert [h.instance_number for h in reading_order(headers)] == [1, 2]

    def test_series_by_number_and_the_unnumbered_last(self) -> None:
        headers = [header(n, series_number=number, series_uid=f"1.{n}") for n, number in enumerate((None, 12, 3))]
        assert [h.series_number for h in reading_order(headers)] == [3, 12, None]

    def test_one_series_is_not_cut_by_another_of_the_same_number(self) -> None:
        headers = [header(number, series_uid=f"1.{number % 2}") for number in range(6)]
        assert [h.series_uid for h in reading_order(headers)] == ["1.0"] * 3 + ["1.1"] * 3

    def test_a_missing_number_or_position_is_no_error(self) -> None:
        headers = [header(1), at(None, None, instance_number=None), at(None, None, instance_number=3)]
        assert reading_order(headers)[-1].instance_number is None


class TestParts:
    def test_a_plain_series_is_one_volume(self) -> None:
        assert parts(stack(3, 6, 9)) == [("", 1, (3, 6, 9))]

    def test_orientations(self) -> None:
        headers = [
            at((float(n), 0.0, 0.0), SAGITTAL, instance_number=n) for n in range(3)
        ] + stack(1, 2, first=10)  # fmt: skip
        assert [(volume.part, volume.plane) for volume in volumes_of(headers)] == [
            ("sagittal", Plane.SAGITTAL),
            ("axial", Plane.AXIAL),
        ]

    def test_slices_a_little_askew_stay_together(self) -> None:
        askew = (0.9999, 0.0141, 0.0, -0.0141, 0.9999, 0.0)
        assert len(volumes_of([*stack(3, 6), at((0.0, 0.0, 9.0), askew, instance_number=9)])) == 1

    def test_echoes(self) -> None:
        headers = stack(3, 6, 9, echo_time_ms=12.0) + stack(3, 6, 9, first=4, echo_time_ms=95.0)
        assert parts(headers) == [("echo 1", 1, (3, 6, 9)), ("echo 2", 1, (3, 6, 9))]

    def test_an_echo_time_that_drifts_from_slice_to_slice_parts_nothing(self) -> None:
        headers = [head for n in range(4) for head in stack(3.0 * n, first=n, echo_time_ms=90.0 + n)]
        assert len(volumes_of(headers)) == 1

    def test_kinds_of_image(self) -> None:
        headers = stack(3, 6, 9, image_type=("W",)) + stack(3, 6, 9, first=4, image_type=("F",))
        assert [part for part, *_ in parts(headers)] == ["kind 1", "kind 2"]

    def test_time_points_are_repetitions(self) -> None:
        headers = [head for n in range(3) for head in stack(3, 6, 9, first=3 * n, time_point=n + 1)]
        assert [(part, number) for part, number, _ in parts(headers)] == [
            ("time point 1", 1),
            ("time point 2", 2),
            ("time point 3", 3),
        ]

    def test_repetitions_that_no_number_tells_apart(self) -> None:
        headers = [head for n in range(2) for head in stack(3, 6, 9, 12, first=4 * n)]
        assert parts(headers) == [("repetition 1", 1, (3, 6, 9, 12)), ("repetition 2", 2, (3, 6, 9, 12))]
        assert [head.instance_number for head in volumes_of(headers)[1].headers] == [4, 5, 6, 7]

    def test_echoes_of_several_time_points(self) -> None:
        headers = [
            head
            for time in (1, 2)
            for echo in (10.0, 90.0)
            for head in stack(3, 6, 9, first=int(100 * time + echo), echo_time_ms=echo, time_point=time)
        ]
        assert [(part, number) for part, number, _ in parts(headers)] == [
            ("echo 1, time point 1", 1),
            ("echo 1, time point 2", 2),
            ("echo 2, time point 1", 1),
            ("echo 2, time point 2", 2),
        ]

    def test_contrast_and_diffusion_are_no_repetitions(self) -> None:
        plain, agent = stack(3, 6, 9), stack(3, 6, 9, first=4, has_contrast_agent=True)
        assert [(part, number) for part, number, _ in parts(plain + agent)] == [("contrast 1", 1), ("contrast 2", 1)]
        still, weighted = stack(3, 6, 9, b_value=0.0), stack(3, 6, 9, first=4, b_value=1000.0)
        assert [(part, number) for part, number, _ in parts(still + weighted)] == [
            ("diffusion 1", 1),
            ("diffusion 2", 1),
        ]

    def test_of_repetitions_the_one_with_the_most_places_is_the_first(self) -> None:
        headers = stack(*range(0, 45, 3), number=1) + stack(*range(0, 72, 3), first=100, number=2)
        assert [(part, number, len(depths or ())) for part, number, depths in parts(headers)] == [
            ("acquisition 1", 2, 15),
            ("acquisition 2", 1, 24),
        ]

    def test_slabs_that_share_a_slice_stay_together(self) -> None:
        headers = stack(*range(0, 36, 3), number=1) + stack(*range(33, 72, 3), first=100, number=2)
        (volume,) = volumes_of(headers)
        assert (len(volume.headers), volume.doubled) == (25, 1)

    def test_a_scan_that_was_begun_anew_loses_nothing(self) -> None:
        headers = stack(*range(0, 30, 3), number=1) + stack(*range(0, 72, 3), first=100, number=2)
        assert [(volume.repetition, len(volume.levels_mm)) for volume in volumes_of(headers)] == [(1, 24)]

    def test_time_points_scanned_twice_are_all_repetitions_of_one(self) -> None:
        headers = [
            head
            for time in (1, 2, 3)
            for again in (1, 2)
            for head in stack(3, 6, 9, first=100 * time + 10 * again, time_point=time, number=again)
        ]
        assert sorted(volume.repetition for volume in volumes_of(headers)) == [1, 2, 3, 4, 5, 6]

    def test_places_that_differ_by_a_tenth_of_a_millimetre_are_the_same(self) -> None:
        headers = stack(3, 6, 9, 12) + stack(3.1, 6.1, 9.1, 12.1, first=10)
        assert [volume.spacing_mm for volume in volumes_of(headers)] == [3.0, pytest.approx(3.0)]

    def test_echoes_without_positions(self) -> None:
        headers = [
            replace(at(None, None, instance_number=2 * n + late, sop_uid=f"1.{n}.{late}"),
                    acquisition=Acquisition(echo_time_ms=(12.0, 95.0)[late]))
            for n in range(4) for late in (0, 1)
        ]  # fmt: skip
        assert [(volume.part, len(volume.headers)) for volume in volumes_of(headers)] == [("echo 1", 4), ("echo 2", 4)]

    def test_one_doubled_slice_is_no_repetition(self) -> None:
        (volume,) = volumes_of(stack(3, 6, 6, 9, 12, number=None))
        assert (volume.doubled, volume.spacing_mm) == (1, 3.0)

    def test_copies_of_a_single_slice_stay_together(self) -> None:
        (volume,) = volumes_of(stack(*[5.0] * 12))
        assert (volume.doubled, volume.spacing_mm, volume.levels_mm) == (11, None, (5.0,))


class TestGeometry:
    @pytest.mark.parametrize(
        ("orientation", "plane"),
        [
            (AXIAL, Plane.AXIAL),
            (SAGITTAL, Plane.SAGITTAL),
            (CORONAL, Plane.CORONAL),
            ((0.7071, 0.7071, 0.0, 0.0, 0.0, -1.0), Plane.OBLIQUE),
            ((0.9397, 0.342, 0.0, -0.342, 0.9397, 0.0), Plane.AXIAL),
            (None, Plane.UNKNOWN),
        ],
    )
    def test_plane(self, orientation: tuple[float, ...] | None, plane: Plane) -> None:
        assert Volume((at((0.0, 0.0, 0.0), orientation),), None).plane is plane

    def test_gaps_and_distances(self) -> None:
        (volume,) = volumes_of(stack(0, 5, 10, 20, 25, 40))
        assert (volume.spacing_mm, volume.gaps) == (5.0, 2)

    def test_without_positions_nothing_is_said(self) -> None:
        (volume,) = volumes_of([at(None, None, instance_number=n) for n in range(3)])
        assert (volume.depths_mm, volume.spacing_mm, volume.gaps, volume.doubled) == (None, None, 0, 0)

    def test_name(self) -> None:
        first, _ = volumes_of(stack(3, 6, 9, echo_time_ms=12.0) + stack(3, 6, 9, first=4, echo_time_ms=95.0))
        assert first.name == "T1 axial, echo 1"
        (unnamed,) = volumes_of([replace(head, series_description=None) for head in stack(3)])
        assert unnamed.name == "Series 4"
