"""TestFusion: the weights; TestThresholds: the cuts; TestFolder: a model folder calibrated anew."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer import calibrate
from trainer.calibrate import CalibrationError, fit_calibration, listed_samples
from trainer.fusion import (
    BOX_LEAD,
    Float64Array,
    KindEvidence,
    TumorEvidence,
    fit_boxes_alone,
    fit_kind,
    fit_temperature,
    fit_tumor,
    softened,
)
from trainer.labels import DatasetError
from trainer.readings import LabelledReading, ReadSample, answers
from trainer.runtime.bundle import ModelBundle, read_manifest, write_calibration, write_manifest
from trainer.runtime.decision import NEVER_NOVEL, NO_BOXES, Calibration, lesion_probability, sigmoid
from trainer.runtime.records import CLASSES, LESION_CLASSES, SlicePrediction, TumorClass
from trainer.shifted_sets import LOOKS
from trainer.thresholds import (
    best_box_threshold,
    disagreement_threshold,
    margin_threshold,
    operating_point,
    unfamiliar_none_log_odds,
    values_at_their_bounds,
)

from .readings_made_by_hand import line, read

HERE, THERE = (10.0, 10.0, 30.0, 30.0), (60.0, 60.0, 90.0, 90.0)


def held_out(count: int = 200, box_signal: float = 1.0) -> list[ReadSample]:
    """Images whose boxes and class logits both tell the truth, with noise; `box_signal` 0: the boxes say nothing."""
    generator = np.random.default_rng(3)
    reads = []
    for index in range(count):
        label = CLASSES[index % 4]
        logits = 2.5 * np.eye(4)[index % 4] + generator.normal(0, 1, 4)
        tumor = label is not TumorClass.NO_TUMOR
        strength = (2.0 if tumor else -2.0) * box_signal + generator.normal(0, 1)
        kind = LESION_CLASSES.index(label) if tumor and generator.random() < 0.85 else int(generator.integers(3))
        score = float(np.clip(1 / (1 + np.exp(-strength)), 0.02, 0.98))
        lines = (line(CLASSES.index(label), *HERE),) if tumor else ()
        reads.append(read(label, lines, ((score, kind, HERE),), tuple(logits)))
    return reads


def with_logits(read: ReadSample, logits: np.ndarray) -> ReadSample:
    return replace(read, reading=replace(read.reading, class_logits=logits.astype(np.float32)))


def labelled(reads: list[ReadSample]) -> list[LabelledReading]:
    return [LabelledReading(each.reading, each.sample.class_index) for each in reads]


def tumor_evidence(reads: list[ReadSample]) -> TumorEvidence:
    return TumorEvidence.of(labelled(reads), 1.0)


class TestFusion:
    def test_the_boxes_lead_the_classifier(self) -> None:
        # a classifier without any noise: a free fit would follow it alone
        reads = [with_logits(each, np.eye(4)[each.sample.class_index] * 9) for each in held_out()]
        evidence = tumor_evidence(reads)
        box_weight, classifier_weight, _ = fit_tumor(evidence, boxes=True)
        assert classifier_weight > 0
        led = BOX_LEAD * classifier_weight * evidence.gap(evidence.classifier)
        assert box_weight * evidence.gap(evidence.box) >= led - 1e-9

    def test_evidence_that_separates_perfectly_makes_no_infinite_weight(self) -> None:
        count = 40
        tumor = np.arange(count) % 2 == 0
        sign = np.where(tumor, 1.0, -1.0)
        evidence = TumorEvidence(3 * sign, 3 * sign, 4 * sign, tumor)
        box_weight, classifier_weight, bias = fit_tumor(evidence, boxes=True)
        assert max(box_weight, classifier_weight, abs(bias)) < 10

    def test_sets_count_the_same_however_large(self) -> None:
        few, many = tumor_evidence(held_out(40)), tumor_evidence(held_out(400))
        higher = replace(many, box=many.box + 3)

        def line_of(*sets: TumorEvidence) -> float:
            weight, bias = fit_boxes_alone([each.box for each in sets], [each.tumor for each in sets])
            return -bias / weight

        lines = [line_of(few, higher), line_of(many, higher), line_of(many)]
        assert lines[0] == pytest.approx(lines[1], abs=0.3)
        assert lines[2] < lines[0] - 0.5

    def test_targets_are_soft_where_images_are_few(self) -> None:
        one_hot = np.array([[True, False]] * 9 + [[False, True]])
        assert softened(one_hot)[[0, 9]] == pytest.approx(np.array([[0.95, 0.05], [0.25, 0.75]]))

    def test_boxes_that_say_nothing_leave_it_to_the_classifier(self, caplog: pytest.LogCaptureFixture) -> None:
        calibration = fit_calibration(held_out(box_signal=0.0), boxes=True)
        assert calibration.box_weight == 0
        assert calibration.classifier_weight > 0.3
        assert "the classifier decides alone" in caplog.text

    def test_the_kind_uses_both_opinions(self) -> None:
        assert min(fit_kind(KindEvidence.of(labelled(held_out()), 1.0), boxes=True)) > 0.1

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
    def test_the_temperature_is_found(self, temperature: float) -> None:
        generator = np.random.default_rng(1)
        honest = generator.normal(0, 2, (4000, 4))
        powers = np.exp(honest)
        truth = (generator.random((4000, 1)) > (powers / powers.sum(1, keepdims=True)).cumsum(1)).sum(1)
        assert fit_temperature((honest * temperature).astype(np.float32), truth) == pytest.approx(temperature, rel=0.1)

    def test_the_fitted_answers_are_right_and_honest(self) -> None:
        reads = held_out()
        calibration = fit_calibration(reads, boxes=True)
        predictions = answers(reads, calibration)
        right = [p.label is each.sample.tumor_class for p, each in zip(predictions, reads, strict=True)]
        certainty = [max(p.probabilities) for p in predictions]
        assert np.mean(right) > 0.93
        assert np.mean(certainty) == pytest.approx(np.mean(right), abs=0.06)

    def test_elsewhere_the_line_is_drawn_by_images_as_others_would_show_them(self) -> None:
        """There every box scores higher, tumour or not: the line between them has to lie higher too."""
        reads = [replace(each, reading=replace(each.reading, novelty=n / 200)) for n, each in enumerate(held_out())]
        louder = [
            replace(each.reading.detections, any_kind_scores=each.reading.detections.any_kind_scores**0.3)
            for each in reads
        ]
        shifted = [
            LabelledReading(replace(each.reading, detections=found), each.sample.class_index)
            for each, found in zip(reads, louder, strict=True)
        ]
        alone, both = fit_calibration(reads, boxes=True), fit_calibration(reads, boxes=True, shifted=[shifted])
        assert (alone.familiar_up_to, alone.unfamiliar_from) == (NEVER_NOVEL, NEVER_NOVEL)
        assert (both.familiar_up_to, both.unfamiliar_from) == pytest.approx((0.796, 0.985), abs=1e-3)
        assert (both.box_weight, both.tumor_bias) == (alone.box_weight, alone.tumor_bias)
        assert -both.unfamiliar_bias / both.unfamiliar_box_weight > 0.3
        assert sigmoid(both.unfamiliar_tumor_log_odds) == pytest.approx(0.97)

    def test_what_a_single_box_says_goes_by_the_score_of_its_kind(self) -> None:
        reads = held_out()
        louder = [
            replace(each.reading.detections, any_kind_scores=np.sqrt(each.reading.detections.any_kind_scores))
            for each in reads
        ]
        plain = [LabelledReading(each.reading, each.sample.class_index) for each in reads]
        shifted = [
            replace(each, reading=replace(each.reading, detections=found))
            for each, found in zip(plain, louder, strict=True)
        ]
        one, other = (fit_calibration(reads, boxes=True, shifted=[each]) for each in (plain, shifted))
        assert one.unfamiliar_bias != pytest.approx(other.unfamiliar_bias, abs=0.1)
        assert lesion_probability(0.5, one) == pytest.approx(lesion_probability(0.5, other))

    def test_a_model_without_boxes_asks_the_classifier_everywhere(self) -> None:
        calibration = fit_calibration(held_out(), boxes=False, shifted=[labelled(held_out())])
        assert (calibration.familiar_up_to, calibration.unfamiliar_from) == (NEVER_NOVEL, NEVER_NOVEL)
        assert (calibration.box_weight, calibration.kind_box_weight, calibration.box_threshold) == (0, 0, NO_BOXES)

    def test_one_kind_of_image_is_not_enough(self) -> None:
        with pytest.raises(CalibrationError, match="2 held-out images with 2 tumours"):
            fit_calibration([read(TumorClass.GLIOMA)] * 2, boxes=True)


def prediction(fused: tuple[float, ...], classifier: tuple[float, ...]) -> SlicePrediction:
    return SlicePrediction(fused, classifier, ())


class TestThresholds:
    def test_the_operating_point_misses_one_in_a_hundred(self) -> None:
        probabilities = np.concatenate([[0.01], np.linspace(0.3, 1, 99)])
        point = operating_point(probabilities)
        assert point == pytest.approx(0.3)
        assert (probabilities >= point).mean() == 0.99

    @pytest.mark.parametrize(("all_at", "point"), [(0.999, 0.5), (0.001, 0.1)])
    def test_the_operating_point_is_bounded(self, all_at: float, point: float) -> None:
        assert operating_point(np.full(50, all_at)) == point

    def test_none_is_said_of_three_in_a_hundred_tumours_of_the_worst_set(self) -> None:
        easy, worst = np.full(200, 5.0), np.concatenate([np.linspace(-0.9, -0.5, 3), np.linspace(-0.3, 4, 98)])
        needed = unfamiliar_none_log_odds([easy, worst])
        assert needed == pytest.approx(0.3)
        assert (worst < -needed).sum() == 3

    @pytest.mark.parametrize(("all_at", "needed"), [(6.0, 0.5), (-6.0, 0.95)])
    def test_what_none_needs_is_bounded(self, all_at: float, needed: float) -> None:
        assert sigmoid(unfamiliar_none_log_odds([np.full(50, all_at)])) == pytest.approx(needed)

    def test_values_that_a_range_cut_off_are_named(self) -> None:
        calibration = Calibration(
            unfamiliar_from=0.5,
            box_threshold=0.3,
            urgent_threshold=0.5,
            low_margin=0.2,
            disagreement=0.5,
            unfamiliar_none_log_odds=unfamiliar_none_log_odds([np.full(50, -6.0)]),
        )
        assert values_at_their_bounds(calibration) == ["urgent_threshold", "disagreement", "unfamiliar_none_log_odds"]
        assert "unfamiliar_none_log_odds" not in values_at_their_bounds(
            replace(calibration, unfamiliar_from=NEVER_NOVEL)
        )

    def test_one_in_twenty_has_a_low_margin(self) -> None:
        margins = np.linspace(0.05, 1, 100)
        nothing = np.zeros(100)
        probabilities = np.stack([(1 - margins) / 2, nothing, (1 + margins) / 2, nothing], 1)
        assert (margins < margin_threshold(probabilities)).mean() == pytest.approx(0.05, abs=0.011)

    def test_few_disagreements_all_count(self) -> None:
        agreeing = [prediction((1, 0, 0, 0), (0.9, 0.1, 0, 0))] * 99
        assert disagreement_threshold([*agreeing, prediction((1, 0, 0, 0), (0, 0.7, 0.3, 0))]) == 0.5

    def test_many_disagreements_are_kept_to_the_budget(self) -> None:
        rivals = [prediction((1, 0, 0, 0), (1 - p, p, 0, 0)) for p in np.linspace(0.51, 0.94, 100)]
        threshold = disagreement_threshold(rivals)
        assert sum(max(p.classifier_probabilities) >= threshold for p in rivals) == 5

    def test_the_box_threshold_lies_between_false_alarms_and_lesions(self) -> None:
        lesion = read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.5, 0, HERE), (0.3, 0, THERE)))
        healthy = read(TumorClass.NO_TUMOR, (), ((0.25, 1, THERE),))
        assert 0.3 < best_box_threshold([lesion, healthy]) <= 0.5

    def test_a_lesion_is_found_once(self) -> None:
        twice = read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.5, 0, HERE), (0.4, 0, (10.0, 10.0, 30.0, 29.0))))
        assert best_box_threshold([twice]) > 0.4


class TestFolder:
    def test_it_is_calibrated_in_place_with_new_sums(self, data: Path, own_model: Path) -> None:
        before = ModelBundle.load(own_model).calibration
        (own_model / "calibration.json").write_text("{}")
        assert calibrate.main(["--data", str(data), "--model", str(own_model)]) == 2  # the sum is wrong
        model = own_model.parent / "again"
        own_model.rename(model)
        write_calibration(model, Calibration(novelty_threshold=before.novelty_threshold))
        manifest = read_manifest(model)
        write_manifest(model, manifest.version, manifest.input_size, manifest.flip_tta, manifest.recipe)
        assert calibrate.main(["--data", str(data), "--model", str(model)]) == 0
        assert ModelBundle.load(model).calibration == before

    def test_what_is_asked_of_unfamiliar_images_is_fitted_on_the_shifted_sets(
        self, data: Path, own_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[int] = []

        def remember(boxes: Sequence[Float64Array], _: object) -> tuple[float, float]:
            given.extend(map(len, boxes))
            return 1.5, 0.25

        # the boxes of the small network tell nothing apart
        monkeypatch.setattr(calibrate, "boxes_tell_tumors_apart", lambda _: True)
        monkeypatch.setattr(calibrate, "fit_tumor", lambda *_, **__: (1.0, 0.5, 0.0))
        monkeypatch.setattr(calibrate, "fit_boxes_alone", remember)
        found = calibrate.calibrate_folder(own_model, data)
        assert given[: len(LOOKS)] == [len(listed_samples(data, own_model / "held-out-files.csv"))] * len(LOOKS)
        assert (found.unfamiliar_box_weight, found.unfamiliar_bias) == (1.5, 0.25)
        assert 0 < found.familiar_up_to <= found.unfamiliar_from < NEVER_NOVEL
        assert ModelBundle.load(own_model).calibration == found

    def test_other_data_are_refused(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("name,sha256\nGlioma/images/scan (1).png,00\nGlioma/images/gone.png,11\n")
        with pytest.raises(DatasetError, match=r"of list.csv, 1 files differ, 1 are missing \(for example Glioma"):
            listed_samples(data, tmp_path / "list.csv")
