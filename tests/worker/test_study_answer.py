"""What is said of a study: by neighbouring slices, and only where the model knows the kind of image."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.worker.filing import AXIAL, header
from trainer.runtime.decision import Calibration
from trainer.runtime.records import Box, SlicePrediction, TumorClass, most_likely
from worker.domain import PixelGeometry, ReviewReason, SliceFinding
from worker.study_answer import StudyAnswer, answer_of
from worker.volumes import volumes_of

CALIBRATION = Calibration(
    urgent_threshold=0.5, low_margin=0.2, disagreement=0.7, familiar_up_to=0.4, unfamiliar_from=0.5
)
HEALTHY = (0.01, 0.01, 0.97, 0.01)
GLIOMA = (0.9, 0.04, 0.05, 0.01)
UNDECIDED = (0.45, 0.04, 0.5, 0.01)
BOX = Box(TumorClass.GLIOMA, 0.8, (10.0, 10.0, 30.0, 30.0))


def seen(
    probabilities: tuple[float, ...] = HEALTHY,
    *boxes: Box,
    novelty: float = 0.0,
    classifier: tuple[float, ...] | None = None,
) -> SlicePrediction:
    return SlicePrediction(probabilities, classifier or probabilities, boxes, novelty)


TUMOR = seen(GLIOMA, BOX)


def answer(
    predictions: Sequence[SlicePrediction],
    apart: float | None = 5.0,
    calibration: Calibration = CALIBRATION,
    depths: Sequence[float] | None = None,
) -> StudyAnswer:
    """Of a series whose slices are so many millimetres apart, or lie at these depths, or have no position."""
    findings = {}
    for number, prediction in enumerate(predictions):
        depth = depths[number] if depths else number * (apart or 0.0)
        position = None if apart is None else (0.0, 0.0, depth)
        head = header(number, geometry=PixelGeometry(80, 90, (1.0, 1.0), position, AXIAL))
        findings[head.slice_key] = SliceFinding(head, prediction)
    return answer_of(volumes_of(finding.header for finding in findings.values()), findings, calibration)


def tumor(*arguments: object, **options: object) -> float:
    return 1 - answer(*arguments, **options).probabilities[2]  # type: ignore[arg-type]


class TestNeighbours:
    def test_one_slice_speaks_for_itself(self) -> None:
        assert answer([TUMOR]).probabilities == pytest.approx(GLIOMA)

    @pytest.mark.parametrize(("apart", "slices"), [(1.0, 4), (1.333, 3), (2.0, 2), (3.0, 2), (5.0, 2), (12.0, 2)])
    def test_a_lesion_over_four_millimetres_is_found_among_many(self, apart: float, slices: int) -> None:
        around = [seen()] * 60
        assert tumor([*around, *[TUMOR] * slices, *around], apart) == pytest.approx(0.95)

    @pytest.mark.parametrize(("apart", "slices"), [(1.0, 2), (1.333, 2), (2.0, 1), (3.0, 1), (3.9, 1)])
    def test_a_smaller_one_of_thin_slices_is_no_alarm(self, apart: float, slices: int) -> None:
        certain = seen((0.99, 0.0, 0.01, 0.0), BOX)
        around = [seen()] * 60
        assert tumor([*around, *[certain] * slices, *around], apart) < 0.05

    def test_of_thin_slices_one_may_miss_it(self) -> None:
        assert tumor([*[seen()] * 9, TUMOR, TUMOR, seen(), TUMOR, *[seen()] * 9], 1.0) == pytest.approx(0.95)

    def test_one_thick_slice_has_half_a_say(self) -> None:
        assert tumor([seen(), seen(), TUMOR, seen()], 5.0) == pytest.approx((0.95 + 0.03) / 2)

    def test_copies_of_a_slice_are_one(self) -> None:
        assert tumor([seen(), TUMOR, TUMOR, seen(), seen()], depths=[0.0, 5.0, 5.0, 10.0, 15.0]) == pytest.approx(0.49)

    def test_slices_on_both_sides_of_a_gap_are_no_neighbours(self) -> None:
        predictions = [seen(), seen(), TUMOR, TUMOR, seen(), seen()]
        assert tumor(predictions, depths=[0.0, 5.0, 10.0, 85.0, 90.0, 95.0]) == pytest.approx(0.49)

    def test_one_thin_slice_among_two_hundred_is_no_alarm(self) -> None:
        assert tumor([*[seen()] * 100, TUMOR, *[seen()] * 100], 1.0) < CALIBRATION.urgent_threshold

    def test_tumours_on_slices_that_are_no_neighbours_do_not_add_up(self) -> None:
        assert tumor([TUMOR if n % 3 == 0 else seen() for n in range(80)], 1.0) < CALIBRATION.urgent_threshold

    def test_slices_far_apart_speak_for_themselves(self) -> None:
        assert tumor([seen(), TUMOR, seen()], 18.0) == pytest.approx(0.95)

    def test_without_positions_three_in_a_row_speak(self) -> None:
        assert tumor([seen(), TUMOR, TUMOR, TUMOR, seen()], None) == pytest.approx(0.95)
        assert tumor([seen(), TUMOR, seen(), seen()], None) < CALIBRATION.urgent_threshold

    def test_a_volume_of_fewer_slices_speaks_as_a_whole(self) -> None:
        assert tumor([TUMOR, TUMOR], 1.0) == pytest.approx(0.95)

    def test_it_sums_to_one(self) -> None:
        assert sum(answer([seen(), TUMOR, seen(UNDECIDED)]).probabilities) == pytest.approx(1)


class TestKind:
    def test_it_is_summed_over_the_slices_of_the_lesion(self) -> None:
        other = seen((0.04, 0.9, 0.05, 0.01), replace(BOX, label=TumorClass.MENINGIOMA))
        found = answer([seen(), seen((0.92, 0.04, 0.03, 0.01), BOX), other, other, other, seen()])
        assert most_likely(found.probabilities) is TumorClass.MENINGIOMA

    def test_other_lesions_have_no_say(self) -> None:
        elsewhere = Box(TumorClass.MENINGIOMA, 0.9, (60.0, 60.0, 75.0, 75.0))
        other = seen((0.04, 0.8, 0.15, 0.01), elsewhere)
        found = answer([TUMOR, TUMOR, seen(), seen(), *[other] * 6])
        assert most_likely(found.probabilities) is TumorClass.GLIOMA


class TestDoubt:
    def test_none_for_a_clear_answer(self) -> None:
        assert answer([seen(), seen()]).review_reasons == ()
        assert answer([TUMOR, TUMOR]).review_reasons == ()

    def test_a_tumour_only_where_nothing_is_familiar_is_for_review(self) -> None:
        strange = seen(GLIOMA, BOX, novelty=0.6)
        assert answer([seen(), strange, strange, seen()]).review_reasons == (ReviewReason.UNSURE_OF_UNFAMILIAR,)
        assert answer([strange]).review_reasons == ()  # of a single picture its own, stricter limit decides

    def test_a_slice_that_stands_alone_must_be_wholly_familiar(self) -> None:
        half, whole = (seen(GLIOMA, BOX, novelty=novelty) for novelty in (0.45, 0.4))
        assert answer([seen(), half, seen()], 18.0).review_reasons == (ReviewReason.UNSURE_OF_UNFAMILIAR,)
        assert answer([seen(), whole, seen()], 18.0).review_reasons == ()
        assert answer([seen(), half, half, seen()]).review_reasons == ()

    def test_one_that_is_familiar_speaks_before_a_louder_one_that_is_not(self) -> None:
        louder = seen((0.98, 0.0, 0.02, 0.0), BOX, novelty=0.6)
        found = answer([louder, louder, seen(), seen(), TUMOR, TUMOR])
        assert found.review_reasons == ()
        assert found.probabilities == pytest.approx(GLIOMA)

    def test_healthy_slices_that_are_unfamiliar_raise_nothing(self) -> None:
        assert answer([seen(novelty=0.6)] * 5).review_reasons == ()

    def test_what_is_unlike_a_brain_proves_nothing(self) -> None:
        strange = seen(GLIOMA, BOX, novelty=0.9)
        calibration = replace(CALIBRATION, novelty_threshold=0.8)
        assert answer([strange] * 3, calibration=calibration).review_reasons == (ReviewReason.UNLIKE_BRAIN_MR,)
        assert answer([strange, strange, TUMOR, TUMOR], calibration=calibration).review_reasons == ()

    @pytest.mark.parametrize(
        ("novelty", "log_odds", "is_unsure"),
        [(0.45, 3.0, True), (0.45, 1.0, False), (0.41, 3.0, False), (0.4, 8.0, False)],
        ids=["unsure", "sure enough", "nearly familiar", "familiar"],
    )
    def test_an_unfamiliar_scan_needs_a_surer_answer(self, novelty: float, log_odds: float, is_unsure: bool) -> None:
        calibration = replace(CALIBRATION, unfamiliar_tumor_log_odds=log_odds)
        found = answer([seen((0.7, 0.0, 0.3, 0.0), BOX, novelty=novelty)], calibration=calibration)
        assert (ReviewReason.UNSURE_OF_UNFAMILIAR in found.review_reasons) is is_unsure


class TestOtherReasons:
    def test_the_classifier_disagrees(self) -> None:
        slices = [seen(classifier=(0.0, 0.9, 0.1, 0.0))]
        assert answer(slices).review_reasons == (ReviewReason.CLASSIFIER_DISAGREES,)

    def test_only_slices_that_speak_for_the_study_can_disagree(self) -> None:
        assert answer([TUMOR, TUMOR, seen(), seen(classifier=(0.0, 0.9, 0.1, 0.0))]).review_reasons == ()

    def test_the_margin_is_low(self) -> None:
        assert answer([seen(UNDECIDED)]).review_reasons == (ReviewReason.LOW_MARGIN,)

    def test_a_tumour_without_a_box(self) -> None:
        assert answer([seen(GLIOMA)]).review_reasons == (ReviewReason.TUMOR_WITHOUT_BOX,)

    def test_a_box_elsewhere_does_not_mark_it(self) -> None:
        boxed = seen(HEALTHY, BOX)
        slices = [seen(GLIOMA), seen(GLIOMA), seen(), seen(), seen(), boxed]
        assert answer(slices).review_reasons == (ReviewReason.TUMOR_WITHOUT_BOX,)
