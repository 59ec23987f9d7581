"""Figures of answered images: their intervals, and answers pooled from models of different calibrations."""

from dataclasses import replace

import numpy as np
import pytest

from trainer.measure import Answered, Opinions, answer, figures
from trainer.readings import ReadSample
from trainer.runtime.decision import Calibration
from trainer.runtime.records import CLASSES, TumorClass
from trainer.scores import expected_calibration_error, wilson_interval

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


def test_shares_and_their_intervals(answered: list[Answered]) -> None:
    found = figures(answered, DRAWS)
    assert found is not None
    expected = {"accuracy": (38, 40), "sensitivity": (29, 30), "specificity": (9, 10), "classifier_accuracy": (38, 40)}
    for name, (hits, total) in expected.items():
        assert (found[name], found[f"{name}_ci95"]) == (hits / total, wilson_interval(hits, total)), name
    assert found["confusion_matrix"] == [[9, 0, 1, 0], [0, 10, 0, 0], [1, 0, 9, 0], [0, 0, 0, 10]]
    assert found["bootstrap_resamples"] == DRAWS


def test_every_figure_has_an_interval_that_holds_it(answered: list[Answered]) -> None:
    found = figures(answered, DRAWS)
    assert found is not None
    per_class = found["per_class"]
    assert isinstance(per_class, dict)
    checked = []
    for part in (found, *per_class.values()):
        for name in (name for name in part if f"{name}_ci95" in part):
            value, interval = part[name], part[f"{name}_ci95"]
            assert (value is None) == (interval is None), name
            if interval is not None:
                assert interval[0] <= value <= interval[1], name
                checked.append(name)
    assert {"accuracy", "precision", "recall", "f1", "map50", "map", "map50_tumour", "map_tumour"} <= set(checked)
    assert {"ece", "ece_uncalibrated", "ece_classifier"} <= set(checked)
    assert per_class["No Tumor"]["map50_tumour_ci95"] is None


def test_the_same_answers_give_the_same_intervals(answered: list[Answered]) -> None:
    assert figures(answered, DRAWS) == figures(answered, DRAWS)


def test_calibration_error_before_and_after(answered: list[Answered]) -> None:
    reads = [each.read for each in answered]
    sharp = answer(reads, Calibration(class_temperature=0.5))
    found, opinions = figures(sharp, DRAWS), Opinions.of(sharp)
    assert found is not None
    # 38 of 40 are right: at 0.9 the classifier is 0.05 too modest, sharpened it is too sure
    assert found["ece_uncalibrated"] == pytest.approx(0.05, abs=1e-6)
    squared = 0.9**2 / (0.9**2 + 3 * (0.1 / 3) ** 2)
    assert found["ece_classifier"] == pytest.approx(squared - 0.95, abs=1e-6)
    assert found["ece"] == expected_calibration_error(opinions.fused, opinions.truth)


def test_answers_of_several_models_are_each_judged_by_their_own_calibration(answered: list[Answered]) -> None:
    def with_threshold(each: Answered, threshold: float) -> Answered:
        return replace(each, calibration=replace(each.calibration, urgent_threshold=threshold))

    never_urgent = [with_threshold(each, 1.0) for each in answered[::2]]
    pooled = figures(never_urgent + answered[1::2], DRAWS)
    alone = figures(answered[1::2], DRAWS)
    assert pooled is not None
    assert alone is not None
    assert pooled["urgent_threshold"] is None
    assert alone["urgent_threshold"] == 0.5
    tumors = sum(each.read.sample.tumor_class is not TumorClass.NO_TUMOR for each in answered)
    caught = sum(
        each.prediction.tumor_probability >= 0.5
        for each in answered[1::2]
        if each.read.sample.tumor_class is not TumorClass.NO_TUMOR
    )
    assert pooled["sensitivity"] == caught / tumors
