"""The answer for one slice: TestProbabilities, TestBoxesLead, TestReview."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.runtime.decision import (
    NO_BOXES,
    Calibration,
    classifier_disagrees,
    decide,
    familiarity,
    is_unsure_of_unfamiliar,
    is_urgent,
    log_odds,
    low_margin,
    margin,
    sigmoid,
    weigh,
)
from trainer.runtime.records import CLASSES, LESION_CLASSES, Detections, SlicePrediction, TumorClass

CALIBRATION = Calibration()
SURE = 12.0

logits = st.lists(st.floats(-30, 30), min_size=4, max_size=4)
found_boxes = st.lists(st.tuples(st.floats(0.02, 1.0), st.integers(0, 2)), max_size=6)


def detections(*found: tuple[float, int]) -> Detections:
    ordered = sorted(found, reverse=True)
    return Detections(
        np.array([[4, 4, 20, 20]] * len(ordered), np.float32).reshape(-1, 4),
        np.array([score for score, _ in ordered], np.float32),
        np.array([label for _, label in ordered], np.int64),
        np.array([score for score, _ in ordered], np.float32),
    )


def test_a_lesion_of_an_open_kind_counts_as_a_lesion() -> None:
    one_kind = detections((0.4, 0))
    open_kind = replace(one_kind, any_kind_scores=np.array([0.7], np.float32))
    logits = np.zeros(4, np.float32)
    sure, unsure = (weigh(logits, each, 1.0) for each in (open_kind, one_kind))
    assert (sigmoid(sure.box), sigmoid(unsure.box)) == pytest.approx((0.7, 0.4))
    assert sure.box_kinds.tolist() == unsure.box_kinds.tolist()


def says(label: TumorClass, strength: float = SURE) -> np.ndarray:
    """Class logits of a classifier that is sure of one class."""
    return (np.eye(4)[CLASSES.index(label)] * strength).astype(np.float32)


def prediction(probabilities: tuple[float, ...], classifier: tuple[float, ...]) -> SlicePrediction:
    return SlicePrediction(probabilities, classifier, ())


class TestProbabilities:
    @given(class_logits=logits, found=found_boxes)
    def test_they_are_probabilities(self, class_logits: list[float], found: list[tuple[float, int]]) -> None:
        answer = decide(np.array(class_logits, np.float32), detections(*found), CALIBRATION)
        for values in (answer.probabilities, answer.classifier_probabilities):
            assert len(values) == 4
            assert min(values) >= 0
            assert sum(values) == pytest.approx(1)

    @given(
        class_logits=logits, found=found_boxes, low=st.floats(0.02, 1), high=st.floats(0.02, 1), label=st.integers(0, 2)
    )
    def test_a_better_box_never_makes_a_tumour_less_likely(
        self, class_logits: list[float], found: list[tuple[float, int]], low: float, high: float, label: int
    ) -> None:
        low, high = sorted((low, high))
        less, more = (
            decide(np.array(class_logits, np.float32), detections(*found, (score, label)), CALIBRATION)
            for score in (low, high)
        )
        assert more.tumor_probability >= less.tumor_probability - 1e-12

    def test_the_temperature_softens_the_classifier_alone(self) -> None:
        sharp, soft = (
            decide(says(TumorClass.GLIOMA, 4), detections(), replace(CALIBRATION, class_temperature=temperature))
            for temperature in (1.0, 3.0)
        )
        assert max(soft.classifier_probabilities) < max(sharp.classifier_probabilities)

    def test_the_kind_follows_box_and_classifier(self) -> None:
        for index, label in enumerate(LESION_CLASSES):
            assert decide(says(label), detections((0.9, index)), CALIBRATION).label is label


class TestBoxesLead:
    def test_a_clear_lesion_beats_a_classifier_that_sees_none(self) -> None:
        answer = decide(says(TumorClass.NO_TUMOR), detections((0.95, 0)), CALIBRATION)
        assert answer.label is TumorClass.GLIOMA

    def test_without_any_box_a_sure_classifier_does_not_make_a_tumour(self) -> None:
        assert decide(says(TumorClass.MENINGIOMA), detections(), CALIBRATION).label is TumorClass.NO_TUMOR

    def test_no_certainty_of_the_classifier_counts_without_bound(self) -> None:
        sure, surer = (decide(says(TumorClass.GLIOMA, s), detections(), CALIBRATION) for s in (SURE, 10 * SURE))
        assert surer.tumor_probability == pytest.approx(sure.tumor_probability)

    def test_boxes_are_drawn_by_their_own_score_best_first(self) -> None:
        answer = decide(says(TumorClass.GLIOMA), detections((0.29, 0), (0.3, 1), (0.8, 2)), CALIBRATION)
        assert [(box.label, round(box.score, 2)) for box in answer.boxes] == [
            (TumorClass.PITUITARY, 0.8),
            (TumorClass.MENINGIOMA, 0.3),
        ]
        assert answer.boxes[0].xyxy == (4.0, 4.0, 20.0, 20.0)

    def test_a_model_without_boxes_draws_none(self) -> None:
        blind = replace(CALIBRATION, box_threshold=NO_BOXES, box_weight=0.0, classifier_weight=1.0, tumor_bias=0.0)
        answer = decide(says(TumorClass.GLIOMA), detections((1.0, 0)), blind)
        assert not blind.draws_boxes
        assert answer.boxes == ()
        assert answer.label is TumorClass.GLIOMA


class TestFamiliarity:
    """The classifier counts less the more unlike the training images a scan is."""

    calibration = replace(CALIBRATION, familiar_up_to=0.4, unfamiliar_from=0.6)

    @pytest.mark.parametrize(
        ("novelty", "expected"), [(0.0, 1), (0.4, 1), (0.45, 0.75), (0.55, 0.25), (0.6, 0), (1.5, 0)]
    )
    def test_it_falls_from_one_to_nothing(self, novelty: float, expected: float) -> None:
        assert familiarity(novelty, self.calibration) == pytest.approx(expected)

    @pytest.mark.parametrize("novelty", [0.0, 0.5, 1.9])
    def test_a_model_that_does_not_know_finds_everything_familiar(self, novelty: float) -> None:
        assert familiarity(novelty, CALIBRATION) == 1

    def test_on_an_unfamiliar_image_the_boxes_speak_alone(self) -> None:
        own = replace(self.calibration, unfamiliar_box_weight=2.0, unfamiliar_bias=0.5)
        for label in CLASSES:
            answer = decide(says(label), detections((0.4, 0)), own, 0.6)
            assert answer.tumor_probability == pytest.approx(sigmoid(2 * log_odds(0.4) + 0.5), abs=1e-6)

    def test_in_between_it_counts_in_proportion(self) -> None:
        chances = [
            decide(says(TumorClass.NO_TUMOR), detections((0.4, 0)), self.calibration, novelty).tumor_probability
            for novelty in (0.4, 0.45, 0.5, 0.55, 0.6)
        ]
        odds = np.diff([math.log(chance / (1 - chance)) for chance in chances])
        assert odds[0] > 0
        assert odds == pytest.approx([odds[0]] * 4)

    @pytest.mark.parametrize(
        ("tumor_probability", "novelty", "unsure"),
        [(0.9, 0.4, False), (0.55, 0.4, False), (0.9, 0.59, True), (0.1, 0.59, True), (0.99, 0.59, False)],
    )
    def test_an_unfamiliar_scan_needs_a_surer_answer(
        self, tumor_probability: float, novelty: float, *, unsure: bool
    ) -> None:
        both = replace(self.calibration, unfamiliar_tumor_log_odds=3.0, unfamiliar_none_log_odds=3.0)
        given_answer = SlicePrediction((tumor_probability, 0, 1 - tumor_probability, 0), (0.25,) * 4, (), novelty)
        assert is_unsure_of_unfamiliar(given_answer, both) is unsure
        assert not is_unsure_of_unfamiliar(given_answer, self.calibration)
        one_side = "unfamiliar_tumor_log_odds" if tumor_probability > 0.5 else "unfamiliar_none_log_odds"
        assert not is_unsure_of_unfamiliar(given_answer, replace(both, **{one_side: 0.0}))

    @pytest.mark.parametrize("operating_point", [0.1, 0.2, 0.5])
    @pytest.mark.parametrize("novelty", [0.4, 0.5, 0.59, 0.7])
    def test_a_more_probable_tumor_is_never_less_urgent(self, operating_point: float, novelty: float) -> None:
        calibration = replace(
            self.calibration,
            unfamiliar_tumor_log_odds=log_odds(0.95),
            unfamiliar_none_log_odds=log_odds(0.7),
            urgent_threshold=operating_point,
        )

        def rank(tumor_probability: float) -> int:
            answer = SlicePrediction((tumor_probability, 0, 1 - tumor_probability, 0), (0.25,) * 4, (), novelty)
            if is_unsure_of_unfamiliar(answer, calibration):
                return 1
            return 2 if is_urgent(answer, calibration) else 0

        ranks = [rank(tumor_probability) for tumor_probability in np.linspace(0.001, 0.999, 500)]
        assert ranks == sorted(ranks)
        assert {0, 2} <= set(ranks)
        assert (1 in ranks) is (novelty > self.calibration.familiar_up_to)


class TestReview:
    def test_the_operating_point_is_urgent_itself(self) -> None:
        even = prediction((0.25, 0.25, 0.5, 0.0), (0.25,) * 4)
        assert is_urgent(even, CALIBRATION)
        assert not is_urgent(prediction((0.2, 0.2, 0.6, 0.0), (0.25,) * 4), CALIBRATION)

    @pytest.mark.parametrize(
        ("probabilities", "lead"),
        [
            ((0.5, 0.4, 0.1, 0), 0.1),  # which tumour
            ((0.6, 0.3, 0.1, 0), 0.3),
            ((0.4, 0.1, 0.5, 0), 0.0),  # a tumour or none
            ((0.1, 0.1, 0.7, 0.1), 0.4),  # none: a tumour of whichever kind is what else it may be
            ((0.3, 0.0, 0.7, 0.0), 0.4),
            ((0.6, 0.0, 0.4, 0.0), 0.2),
        ],
    )
    def test_the_margin_is_the_lead_over_what_else_it_may_be(
        self, probabilities: tuple[float, ...], lead: float
    ) -> None:
        assert margin(probabilities) == pytest.approx(lead)
        assert low_margin(probabilities, replace(CALIBRATION, low_margin=lead + 0.01))
        assert not low_margin(probabilities, replace(CALIBRATION, low_margin=max(0.0, lead - 0.01)))

    @pytest.mark.parametrize(
        ("classifier", "disagrees"),
        [((0.9, 0.1, 0, 0), False), ((0.1, 0.9, 0, 0), True), ((0, 0, 0.71, 0.29), True), ((0, 0.6, 0.4, 0), False)],
    )
    def test_a_sure_other_answer_is_a_disagreement(self, classifier: tuple[float, ...], disagrees: bool) -> None:
        assert classifier_disagrees(prediction((0.9, 0.1, 0, 0), classifier), CALIBRATION) is disagrees

    @pytest.mark.parametrize(("kinds", "disagrees"), [((0.3, 0.2, 0.25), True), ((0.3, 0.2, 0.1), False)])
    def test_tumours_of_several_kinds_contradict_none_together(
        self, kinds: tuple[float, float, float], disagrees: bool
    ) -> None:
        glioma, meningioma, pituitary = kinds
        classifier = (glioma, meningioma, 1 - sum(kinds), pituitary)
        assert classifier_disagrees(prediction((0, 0, 1, 0), classifier), CALIBRATION) is disagrees

    def test_a_lesion_drawn_on_no_tumor_is_a_disagreement(self) -> None:
        doubtful = replace(CALIBRATION, tumor_bias=-20.0)
        answer = decide(says(TumorClass.NO_TUMOR), detections((0.9, 1)), doubtful)
        assert answer.label is TumorClass.NO_TUMOR
        assert len(answer.boxes) == 1
        assert classifier_disagrees(answer, doubtful)


@pytest.mark.parametrize(
    "broken",
    [
        {"class_temperature": 0.0},
        {"box_weight": -1.0},
        {"unfamiliar_none_log_odds": -0.1},
        {"tumor_bias": math.nan},
        {"low_margin": "0.2"},
    ],
)
def test_an_impossible_calibration_is_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="of a calibration"):
        replace(CALIBRATION, **broken)


@pytest.mark.parametrize(
    ("name", "highest"), [("urgent_threshold", 1), ("low_margin", 1), ("disagreement", 1), ("box_threshold", NO_BOXES)]
)
def test_a_threshold_out_of_range_is_named(name: str, highest: float) -> None:
    for allowed in (0, highest):
        assert getattr(replace(CALIBRATION, **{name: allowed}), name) == allowed
    for refused in (-0.001, highest + 0.001, 5):
        with pytest.raises(ValueError, match=f"{name} of a calibration is within 0 and {highest:g}, not {refused:g}"):
            replace(CALIBRATION, **{name: refused})
