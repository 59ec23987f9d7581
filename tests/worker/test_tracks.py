"""Boxes on neighbouring slices become lesions, in millimetres, whatever the slices' order, shift and distance."""

import random
from collections.abc import Sequence

import pytest

from tests.worker.filing import AXIAL, header
from trainer.runtime.decision import Calibration
from trainer.runtime.records import Box, TumorClass
from worker.domain import InstanceHeader, PixelGeometry
from worker.tracks import LesionTrack, lesion_tracks
from worker.volumes import volumes_of

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
HERE, THERE = (20.0, 20.0, 40.0, 50.0), (60.0, 60.0, 70.0, 70.0)


def at(
    depth: float, shift: float = 0.0, orientation: tuple[float, ...] = AXIAL, series_uid: str = "1.2.3.9"
) -> InstanceHeader:
    """A slice at so many millimetres, shifted along its rows."""
    position = (depth, shift, 0.0) if orientation == SAGITTAL else (shift, 0.0, depth)
    geometry = PixelGeometry(100, 100, (0.5, 0.25), position, orientation)  # type: ignore[arg-type]
    return header(int(depth * 10), geometry=geometry, series_uid=series_uid)


def box(
    xyxy: tuple[float, float, float, float] = HERE, score: float = 0.8, label: TumorClass = TumorClass.GLIOMA
) -> Box:
    return Box(label, score, xyxy)


def followed(slices: Sequence[tuple[InstanceHeader, Sequence[Box]]]) -> list[LesionTrack]:
    boxes = {head.slice_key: found for head, found in slices}
    return lesion_tracks(volumes_of(head for head, _ in slices), boxes)


def depths(track: LesionTrack) -> list[float]:
    return [finding.header.geometry.position_mm[2] for finding in track.findings if finding.header.geometry.position_mm]


def test_neighbours_are_one_lesion_with_its_size() -> None:
    slices = [(at(5.0 * n), [box(score=0.5 + n / 10)] if n in (1, 2, 3) else []) for n in range(6)]
    (track,) = followed(slices)
    assert depths(track) == [5.0, 10.0, 15.0]
    assert [finding.number for finding in track.findings] == [2, 3, 4]
    assert (track.extent_mm, track.diameter_mm) == (15.0, 15.0)  # 30 rows, half a millimetre apart
    assert track.best.number == 4


def test_order_does_not_matter() -> None:
    slices = [(at(2.0 * n), [box()] if n < 5 else []) for n in range(9)]
    random.Random(3).shuffle(slices)
    (track,) = followed(slices)
    assert (len(track.findings), track.extent_mm) == (5, 10.0)


def test_two_lesions_stay_two() -> None:
    tracks = followed([(at(3.0 * n), [box(score=0.6), box(THERE, 0.9)]) for n in range(3)])
    assert [(len(track.findings), track.best.box.xyxy) for track in tracks] == [(3, THERE), (3, HERE)]


def test_a_lesion_may_be_missed_on_one_slice_but_not_on_two() -> None:
    def seen_on(*numbers: int) -> int:
        return len(followed([(at(4.0 * n), [box()] if n in numbers else []) for n in range(7)]))

    assert seen_on(1, 3) == 1
    assert seen_on(1, 4) == 2


def test_slices_far_apart_are_no_neighbours() -> None:
    assert len(followed([(at(15.0 * n), [box()]) for n in range(3)])) == 3


def test_boxes_are_compared_in_the_patient_not_in_the_picture() -> None:
    # the second slice begins 5 mm farther along the rows, so the same place is 20 columns less there
    moved = (HERE[0] - 20, HERE[1], HERE[2] - 20, HERE[3])
    assert len(followed([(at(0.0), [box()]), (at(4.0, shift=5.0), [box(moved)])])) == 1
    assert len(followed([(at(0.0), [box()]), (at(4.0, shift=5.0), [box()])])) == 2


def test_a_small_end_of_a_large_lesion_belongs_to_it() -> None:
    tip = (28.0, 32.0, 32.0, 38.0)
    assert len(followed([(at(0.0), [box(tip)]), (at(3.0), [box()])])) == 1


def test_orientations_and_series_are_apart() -> None:
    slices = [
        (at(0.0), [box()]),
        (at(1.0, orientation=SAGITTAL), [box()]),
        (at(2.0, series_uid="1.2.3.10"), [box()]),
    ]
    assert [track.extent_mm for track in followed(slices)] == [None] * 3


def test_copies_at_one_place_are_one_lesion() -> None:
    slices = [(at(3.0 * n), [box(score=0.5)]) for n in range(4)] + [(at(3.01), [box(score=0.6)])]
    (track,) = followed(slices)
    assert (len(track.findings), track.extent_mm) == (5, pytest.approx(12.0))


def test_two_lesions_of_one_slice_stay_two_where_another_lies_at_its_place() -> None:
    tracks = followed([(at(0.0), [box(), box(THERE)]), (at(0.01), [box(), box(THERE)]), (at(4.0), [])])
    assert [len(track.findings) for track in tracks] == [2, 2]


def test_repetitions_have_lesions_of_their_own() -> None:
    slices = [(at(3.0 * n), [box(score=0.5)]) for n in range(3)] + [(at(3.0 * n + 0.01), [box()]) for n in range(3)]
    assert [(len(track.findings), track.extent_mm) for track in followed(slices)] == [(3, pytest.approx(9.0))] * 2


def test_without_positions_every_box_is_for_itself() -> None:
    tracks = followed([(header(n, geometry=PixelGeometry(100, 100)), [box()]) for n in range(3)])
    assert [(len(track.findings), track.extent_mm, track.diameter_mm) for track in tracks] == [(1, None, None)] * 3


def test_the_class_is_that_of_the_larger_sum() -> None:
    kinds = [(TumorClass.GLIOMA, 0.9), (TumorClass.MENINGIOMA, 0.5), (TumorClass.MENINGIOMA, 0.6)]
    slices = [(at(3.0 * n), [box(label=label, score=score)]) for n, (label, score) in enumerate(kinds)]
    (track,) = followed(slices)
    assert (track.label, track.best.box.label) == (TumorClass.MENINGIOMA, TumorClass.GLIOMA)


def test_a_box_on_a_single_thin_slice_is_no_lesion() -> None:
    def seen_on(count: int, apart: float) -> int:
        return len(followed([(at(apart * n), [box()] if 3 <= n < 3 + count else []) for n in range(12)]))

    assert [seen_on(count, 1.0) for count in (1, 3, 4)] == [0, 0, 1]
    assert [seen_on(count, 1.333) for count in (2, 3)] == [0, 1]
    assert [seen_on(1, apart) for apart in (3.0, 4.0, 6.0)] == [0, 1, 1]


def test_a_thin_stack_needs_no_more_than_it_shows() -> None:
    assert len(followed([(at(1.0 * n), [box()]) for n in range(2)])) == 1


class TestProbability:
    """What the boxes of neighbouring slices say together, each being worth 0.5 at score 0.5 and 0.8 at 0.8."""

    CALIBRATION = Calibration(lesion_weight=1.0, lesion_bias=0.0, unfamiliar_from=0.5)

    def of(self, apart: float, scores: Sequence[float]) -> float | None:
        """Of the one lesion on slices so far apart; 0 where it is not seen."""
        (track,) = followed([(at(apart * n), [box(score=score)] if score else []) for n, score in enumerate(scores)])
        return track.probability(self.CALIBRATION)

    def test_of_thick_slices_the_best_two_neighbours_count(self) -> None:
        assert self.of(5.0, [0.6, 0.8, 0.9, 0.5]) == pytest.approx(0.85)

    def test_one_thick_slice_has_half_a_say(self) -> None:
        assert self.of(5.0, [0, 0, 0.8, 0]) == pytest.approx(0.4)

    def test_slices_that_are_no_neighbours_speak_alone(self) -> None:
        assert self.of(15.0, [0, 0.8, 0]) == pytest.approx(0.8)

    def test_of_thin_slices_all_must_say_so(self) -> None:
        assert self.of(2.0, [0, 0.9, 0.7, 0]) == pytest.approx(0.7)

    def test_of_many_thin_slices_one_may_have_missed_it(self) -> None:
        assert self.of(1.0, [0, 0.9, 0, 0.8, 0.7, 0]) == pytest.approx(0.7)

    @pytest.mark.parametrize("apart", [2.0, 3.0, 4.0, 5.0])
    def test_a_slice_in_between_that_missed_it_is_not_asked(self, apart: float) -> None:
        assert self.of(apart, [0, 0.9, 0, 0.9, 0]) == pytest.approx(0.9)

    def test_on_every_other_thin_slice(self) -> None:
        assert self.of(1.0, [0, 0.9, 0, 0.8, 0, 0.7, 0]) == pytest.approx(0.7)

    def test_none_where_the_boxes_alone_were_not_calibrated(self) -> None:
        (track,) = followed([(at(0.0), [box()])])
        assert track.probability(Calibration()) is None

    def test_without_positions_a_box_speaks_for_itself(self) -> None:
        tracks = followed([(header(n, geometry=PixelGeometry(100, 100)), [box(score=0.8)]) for n in range(5)])
        assert [track.probability(self.CALIBRATION) for track in tracks] == pytest.approx([0.8] * 5)
