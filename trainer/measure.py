"""Every figure of some answered images, each with its 95 % interval (docs/evaluation.md). No torch.

The images may have been answered by different models: cross-validation pools the answers of its folds.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from trainer.average_precision import AveragePrecision, MatchedBoxes, published_truth, tumor_truth
from trainer.readings import ReadSample, answers
from trainer.runtime.decision import Calibration, classifier_disagrees, is_urgent, low_margin
from trainer.runtime.records import CLASSES, LESION_CLASSES, NO_TUMOR_INDEX, SlicePrediction
from trainer.scores import (
    RESAMPLES,
    Float64Array,
    IntArray,
    class_scores,
    confusion_matrix,
    expected_calibration_error,
    group_resamples_of,
    percentile_interval,
    resamples_of,
    wilson_interval,
)

BoolArray = npt.NDArray[np.bool_]
Figures = dict[str, object]
"""Plain values for JSON. `NAME_ci95` is the 95 % interval of `NAME`."""


@dataclass(frozen=True)
class Answered:
    """An image of the data set, the answer to it, and the calibration of the model that gave it."""

    read: ReadSample
    prediction: SlicePrediction
    calibration: Calibration


def answer(reads: Sequence[ReadSample], calibration: Calibration) -> list[Answered]:
    """The decision on every read image, all by one calibration."""
    predictions = answers(reads, calibration)
    return [Answered(read, prediction, calibration) for read, prediction in zip(reads, predictions, strict=True)]


@dataclass(frozen=True)
class Opinions:
    """Truth and probabilities of `n` answered images, in the order of `CLASSES`.

    Attributes:
        truth: `(n,)` class indices.
        raw: `(n, 4)` softmax of the class logits, before any calibration.
        scaled: `(n, 4)` the classifier's own after temperature scaling.
        fused: `(n, 4)` of boxes and classifier together: the answer.
    """

    truth: IntArray
    raw: Float64Array
    scaled: Float64Array
    fused: Float64Array

    @classmethod
    def of(cls, answered: Sequence[Answered]) -> Self:
        """Collect them."""
        logits = np.array([each.read.reading.class_logits for each in answered], np.float64)
        return cls(
            np.array([each.read.sample.class_index for each in answered], np.int64),
            softmax(logits, axis=1),
            np.array([each.prediction.classifier_probabilities for each in answered]),
            np.array([each.prediction.probabilities for each in answered]),
        )

    @property
    def given(self) -> IntArray:
        """`(n,)` the answers as class indices."""
        return np.asarray(self.fused.argmax(1), np.int64)


@dataclass(frozen=True)
class Shares:
    """Counts shares of images and their intervals: Wilson's, or by the draws of a cluster bootstrap where given."""

    draws: Sequence[IntArray] | None = None

    def figures(self, name: str, counted: BoolArray, of: BoolArray | None = None) -> Figures:
        """The share of `counted` `(n,)` among the images of `of` `(n,)`, all by default; 0 of nothing."""
        among = np.ones(len(counted), np.bool_) if of is None else of
        hits, total = int((counted & among).sum()), int(among.sum())
        found: Figures = {name: hits / max(1, total)}
        if self.draws is None:
            return found | {f"{name}_ci95": wilson_interval(hits, total)}
        resampled = [float(counted[draw][among[draw]].mean()) if among[draw].any() else None for draw in self.draws]
        return found | {f"{name}_ci95": percentile_interval(resampled)}


def _with_interval(name: str, value: float | None, resampled: Sequence[float | None]) -> Figures:
    return {name: value, f"{name}_ci95": None if value is None else percentile_interval(resampled)}


def decision_figures(answered: Sequence[Answered], opinions: Opinions, shares: Shares) -> Figures:
    """Shares of images: right answers, triage at the operating point, review reasons."""
    urgent = np.array([is_urgent(each.prediction, each.calibration) for each in answered])
    margins = np.array([low_margin(each.prediction.probabilities, each.calibration) for each in answered])
    disagreements = np.array([classifier_disagrees(each.prediction, each.calibration) for each in answered])
    tumor = opinions.truth != NO_TUMOR_INDEX
    operating_points = {each.calibration.urgent_threshold for each in answered}
    return {
        "images": len(answered),
        **shares.figures("accuracy", opinions.given == opinions.truth),
        **shares.figures("classifier_accuracy", opinions.scaled.argmax(1) == opinions.truth),
        "classes": list(CLASSES),
        "confusion_matrix": confusion_matrix(opinions.truth, opinions.given, len(CLASSES)).tolist(),
        # every fold of a cross-validation has its own
        "urgent_threshold": operating_points.pop() if len(operating_points) == 1 else None,
        **shares.figures("sensitivity", urgent, tumor),
        **shares.figures("specificity", ~urgent, ~tumor),
        **shares.figures("low_margin_share", margins),
        **shares.figures("disagreement_share", disagreements),
    }


def calibration_figures(opinions: Opinions, draws: Sequence[IntArray]) -> Figures:
    """Expected calibration error: of the classifier before and after temperature scaling, and of the answers."""
    found: Figures = {}
    for name, probabilities in (
        ("ece_uncalibrated", opinions.raw),
        ("ece_classifier", opinions.scaled),
        ("ece", opinions.fused),
    ):
        value = expected_calibration_error(probabilities, opinions.truth)
        resampled = [expected_calibration_error(probabilities[draw], opinions.truth[draw]) for draw in draws]
        found |= _with_interval(name, value, resampled)
    return found


def class_figures(opinions: Opinions, draws: Sequence[IntArray]) -> dict[str, Figures]:
    """Precision, recall and F1 of every class."""
    scores = class_scores(confusion_matrix(opinions.truth, opinions.given, len(CLASSES)))
    resampled = [
        class_scores(confusion_matrix(opinions.truth[draw], opinions.given[draw], len(CLASSES))) for draw in draws
    ]
    return {
        # a resample without an image of the class says nothing about it
        label: asdict(scores[index])
        | _with_interval("f1", scores[index].f1, [each[index].f1 if each[index].images else None for each in resampled])
        for index, label in enumerate(CLASSES)
    }


def box_figures(reads: Sequence[ReadSample], draws: Sequence[IntArray]) -> tuple[Figures, dict[str, Figures]]:
    """Average precision over all classes, and of each: as published (`map50`, `map`), and of the tumours alone."""
    over_all: Figures = {}
    each: dict[str, Figures] = {label: {} for label in CLASSES}
    for suffix, truth in (("", published_truth), ("_tumour", tumor_truth)):
        matched = MatchedBoxes(reads, [truth(read) for read in reads])
        found = [matched.average_precision(), *(matched.average_precision(draw) for draw in draws)]
        for name, rows in (("map50", [one.at_50 for one in found]), ("map", [one.at_50_to_95 for one in found])):
            means = [AveragePrecision.mean(row) for row in rows]
            over_all |= _with_interval(name + suffix, means[0], means[1:])
            for label in CLASSES:
                column = [row[LESION_CLASSES.index(label)] if label in LESION_CLASSES else None for row in rows]
                each[label] |= _with_interval(name + suffix, column[0], column[1:])
    return over_all, each


def figures(answered: Sequence[Answered], resamples: int = RESAMPLES, groups: IntArray | None = None) -> Figures | None:
    """Everything measured on some images; `None` when there are none.

    Shares have Wilson intervals. Average precision, F1 and calibration error are no shares: theirs are the middle 95 %
    of `resamples` bootstrap draws of whole images, seeded, so that the same answers give the same interval.

    Args:
        answered: the images with their answers.
        resamples: of the bootstrap.
        groups: `(n,)` look-alike group of every image: then whole groups are drawn, and the shares' intervals come from
            the same draws. Precision and recall of the classes keep Wilson's.
    """
    if not answered:
        return None
    opinions = Opinions.of(answered)
    if groups is None:
        draws, shares = list(resamples_of(len(answered), resamples)), Shares()
    else:
        draws = list(group_resamples_of(groups, resamples))
        shares = Shares(draws)
    over_all = decision_figures(answered, opinions, shares) | calibration_figures(opinions, draws)
    classes = class_figures(opinions, draws)
    boxes_over_all, boxes_each = box_figures([each.read for each in answered], draws)
    per_class = {label: classes[label] | boxes_each[label] for label in CLASSES}
    return over_all | boxes_over_all | {"bootstrap_resamples": resamples, "per_class": per_class}
