"""Figures of answered images: their intervals, and answers pooled from models of different calibrations."""

import re
from dataclasses import replace

import numpy as np
import pytest

from trainer.figure_records import EstimateRecord, Figures
from trainer.intervals import Estimate, IntArray, Shares, group_resamples_of, wilson_interval
from trainer.measure import Answered, Opinions, answer, class_scores, figures
from trainer.readings import ReadSample
from trainer.runtime.decision import Calibration
from trainer.runtime.records import CLASSES, TumorClass
from trainer.scores import expected_calibration_error

from .readings_made_by_hand import line, read

BOX = (10.0, 10.0, 30.0, 30.0)
DRAWS = 40


def seen(truth: TumorClass, said: TumorClass, certainty: float = 0.9) -> ReadSample:
    """An image of one class that classifier and boxes take for another."""
    logits = tuple(float(np.log(certainty if label is said else (1 - certainty) / 3)) for label in CLASSES)
    lesions = [label for label in CLASSES if label is not TumorClass.NO_TUMOR]
    found = ((0.9, lesions.index(said), BOX),) if said in lesions else ()
    lines = (line(CLASSES.index(truth), *BOX),) if truth in lesions else ()
    return read(truth, lines, found, logits)


@pytest.fixture
def answered() -> list[Answered]:
    """Ten of each class, all right but one healthy head called a glioma and one glioma called healthy."""
    reads = [seen(label, label) for label in CLASSES for _ in range(9)]
    reads += [seen(TumorClass.NO_TUMOR, TumorClass.GLIOMA), seen(TumorClass.GLIOMA, TumorClass.NO_TUMOR)]
    reads += [seen(label, label) for label in (TumorClass.MENINGIOMA, TumorClass.PITUITARY)]
    return answer(reads, Calibration())


def test_nothing_of_nothing() -> None:
    assert figures([]) is None


def measured(answered: list[Answered], groups: IntArray | None = None) -> Figures:
    found = figures(answered, DRAWS, groups)
    assert found is not None
    return found


def test_shares_and_their_intervals(answered: list[Answered]) -> None:
    found = measured(answered)
    expected = {"accuracy": (38, 40), "sensitivity": (29, 30), "specificity": (9, 10), "classifier_accuracy": (38, 40)}
    for name, (hits, total) in expected.items():
        assert getattr(found.decision, name) == Estimate(hits / total, *wilson_interval(hits, total)), name
    assert found.confusion_matrix == ((9, 0, 1, 0), (0, 10, 0, 0), (1, 0, 9, 0), (0, 0, 0, 10))
    assert (found.images, found.groups, found.bootstrap_resamples) == (40, 40, DRAWS)
    assert [each.images for each in found.per_class] == [10, 10, 10, 10]


def estimates(found: Figures) -> dict[str, Estimate | None]:
    """Every figure by name, those of a class with its label."""
    records: list[tuple[str, EstimateRecord]] = [
        ("", record) for record in (found.decision, found.calibration, found.boxes)
    ]
    records += [(f"{each.label}: ", record) for each in found.per_class for record in (each.scores, each.boxes)]
    return {label + name: value for label, record in records for name, value in vars(record).items()}


def test_every_figure_lies_in_its_interval(answered: list[Answered]) -> None:
    found = estimates(measured(answered))
    assert {name for name, estimate in found.items() if estimate is None} == {
        f"No Tumor: {name}" for name in ("map50", "map", "map50_tumour", "map_tumour")
    }
    for name, estimate in found.items():
        assert estimate is None or 0 <= estimate.low <= estimate.value <= estimate.high <= 1, name


def test_look_alikes_make_every_share_less_sure(answered: list[Answered]) -> None:
    """Each image beside four copies of itself says no more than alone."""
    copies, groups = [each for each in answered for _ in range(5)], np.repeat(np.arange(len(answered)), 5)
    alone, grouped, naive = (estimates(each) for each in (
        measured(answered), measured(copies, groups), measured(copies)))  # fmt: skip
    shares = [name for name in grouped if not re.search("map|ece", name)]
    assert {"accuracy", "sensitivity", "Glioma: precision", "Pituitary: recall", "No Tumor: f1"} <= set(shares)
    for name in shares:
        once, cluster, image = alone[name], grouped[name], naive[name]
        assert once is not None
        assert cluster is not None
        assert image is not None
        assert (cluster.low, cluster.high) == pytest.approx((once.low, once.high), abs=0.02), name
        assert image.high - image.low < 0.7 * (cluster.high - cluster.low), name


def test_scores_of_a_class() -> None:
    # of class 0: 15 of 20 called so are of it, 15 of 16 of its own were called so
    truth, given = np.repeat([0, 0, 1, 1], [15, 1, 5, 9]), np.repeat([0, 1, 0, 1], [15, 1, 5, 9])
    found = class_scores(truth, given, 0, Shares(np.arange(30)))
    assert found.precision == Estimate(15 / 20, *wilson_interval(15, 20))
    assert found.recall == Estimate(15 / 16, *wilson_interval(15, 16))
    assert found.f1 is not None
    assert found.f1.value == pytest.approx(2 * 15 / (20 + 16))
    absent = class_scores(truth, given, 2, Shares(np.arange(30)))
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)


def test_the_interval_of_f1_agrees_with_a_bootstrap() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 600)
    given = np.where(generator.random(600) < 0.12, 1 - truth, truth)
    f1 = class_scores(truth, given, 1, Shares(np.arange(600))).f1
    draws = [
        2 * float((truth[draw] & given[draw]).sum()) / float((truth[draw] + given[draw]).sum())
        for draw in group_resamples_of(np.arange(600), 2000)
    ]
    assert f1 is not None
    assert (f1.low, f1.high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.01)


def test_the_same_answers_give_the_same_intervals(answered: list[Answered]) -> None:
    assert figures(answered, DRAWS) == figures(answered, DRAWS)


def test_calibration_error_before_and_after(answered: list[Answered]) -> None:
    reads = [each.read for each in answered]
    sharp = answer(reads, Calibration(class_temperature=0.5))
    found, opinions = measured(sharp).calibration, Opinions.of(sharp)
    assert found.ece_uncalibrated is not None
    assert found.ece_classifier is not None
    assert found.ece is not None
    # 38 of 40 are right: at 0.9 the classifier is 0.05 too modest, sharpened it is too sure
    assert found.ece_uncalibrated.value == pytest.approx(0.05, abs=1e-6)
    squared = 0.9**2 / (0.9**2 + 3 * (0.1 / 3) ** 2)
    assert found.ece_classifier.value == pytest.approx(squared - 0.95, abs=1e-6)
    assert found.ece.value == expected_calibration_error(opinions.fused, opinions.truth)


def test_answers_of_several_models_are_each_judged_by_their_own_calibration(answered: list[Answered]) -> None:
    def with_threshold(each: Answered, threshold: float) -> Answered:
        return replace(each, calibration=replace(each.calibration, urgent_threshold=threshold))

    never_urgent = [with_threshold(each, 1.0) for each in answered[::2]]
    pooled, alone = measured(never_urgent + answered[1::2]), measured(answered[1::2])
    assert pooled.urgent_threshold is None
    assert alone.urgent_threshold == 0.5
    tumors = sum(each.read.sample.tumor_class is not TumorClass.NO_TUMOR for each in answered)
    caught = sum(
        each.prediction.tumor_probability >= 0.5
        for each in answered[1::2]
        if each.read.sample.tumor_class is not TumorClass.NO_TUMOR
    )
    assert pooled.decision.sensitivity is not None
    assert pooled.decision.sensitivity.value == caught / tumors
