"""Every figure of some answered images, each with its 95 % interval (docs/evaluation.md). No torch.

The images may have been answered by different models: cross-validation pools the answers of its folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import softmax

from trainer.average_precision import AveragePrecision, MatchedBoxes, published_truth, tumor_truth
from trainer.figure_records import (
    BoxFigures,
    CalibrationFigures,
    ClassFigures,
    ClassScores,
    DecisionFigures,
    Figures,
)
from trainer.intervals import (
    RESAMPLES,
    BoolArray,
    Estimate,
    IntArray,
    Shares,
    basic_estimate,
    group_resamples_of,
    percentile_estimate,
)
from trainer.readings import ReadSample, answers
from trainer.runtime.decision import Calibration, caps_at_review, classifier_disagrees, is_urgent, low_margin
from trainer.runtime.records import CLASSES, LESION_CLASSES, NO_TUMOR_INDEX, SlicePrediction
from trainer.scores import Float64Array, confusion_matrix, expected_calibration_error


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


def decision_figures(answered: Sequence[Answered], opinions: Opinions, shares: Shares) -> DecisionFigures:
    """Shares of images: right answers, triage at the operating point, review reasons."""
    capped = np.array([caps_at_review(each.prediction, each.calibration) for each in answered])
    urgent = np.array([is_urgent(each.prediction, each.calibration) for each in answered]) & ~capped
    margins = np.array([low_margin(each.prediction.probabilities, each.calibration) for each in answered])
    disagreements = np.array([classifier_disagrees(each.prediction, each.calibration) for each in answered])
    tumor: BoolArray = opinions.truth != NO_TUMOR_INDEX
    return DecisionFigures(
        accuracy=shares.estimate(opinions.given == opinions.truth),
        classifier_accuracy=shares.estimate(opinions.scaled.argmax(1) == opinions.truth),
        sensitivity=shares.estimate(urgent, tumor),
        specificity=shares.estimate(~urgent, ~tumor),
        capped_share=shares.estimate(capped),
        low_margin_share=shares.estimate(margins),
        disagreement_share=shares.estimate(disagreements),
    )


def calibration_figures(opinions: Opinions, draws: Sequence[IntArray]) -> CalibrationFigures:
    """Expected calibration error: of the classifier before and after temperature scaling, and of the answers."""

    def of(probabilities: Float64Array) -> Estimate:
        value = expected_calibration_error(probabilities, opinions.truth)
        resampled = [expected_calibration_error(probabilities[draw], opinions.truth[draw]) for draw in draws]
        return basic_estimate(value, resampled)

    return CalibrationFigures(of(opinions.raw), of(opinions.scaled), of(opinions.fused))


def class_scores(truth: IntArray, given: IntArray, index: int, shares: Shares) -> ClassScores:
    """Precision, recall and F1 of the class at `index` of `CLASSES`.

    F1 is 2 J / (1 + J), where J is the share that is both of the class and called so, among the images that are either
    (Jaccard): the interval of J is carried over, so that an F1 of 1 has one too.

    Args:
        truth: `(n,)` class indices.
        given: `(n,)` class indices of the answers.
        index: of the class.
        shares: of these images.
    """
    of_class, called = truth == index, given == index
    overlap = shares.estimate(of_class & called, of_class | called)
    f1 = overlap and Estimate(*(2 * j / (1 + j) for j in (overlap.value, overlap.low, overlap.high)))
    return ClassScores(shares.estimate(of_class, called), shares.estimate(called, of_class), f1)


def box_figures(reads: Sequence[ReadSample], draws: Sequence[IntArray]) -> tuple[BoxFigures, list[BoxFigures]]:
    """Average precision over all classes, and of each of `CLASSES`: as published, and of the tumours alone."""
    published = _precisions(MatchedBoxes(reads, [published_truth(read) for read in reads]), draws)
    tumors = _precisions(MatchedBoxes(reads, [tumor_truth(read) for read in reads]), draws)
    each = []
    for label in CLASSES:
        channel = LESION_CLASSES.index(label) if label in LESION_CLASSES else None
        each.append(BoxFigures(*_estimates(published, channel), *_estimates(tumors, channel)))
    return BoxFigures(*_means(published), *_means(tumors)), each


def _precisions(matched: MatchedBoxes, draws: Sequence[IntArray]) -> list[AveragePrecision]:
    """Of all images, then of every draw."""
    return [matched.average_precision(), *(matched.average_precision(draw) for draw in draws)]


def _means(found: Sequence[AveragePrecision]) -> tuple[Estimate | None, Estimate | None]:
    """Over the classes: at IoU 0.5, and over IoU 0.5 to 0.95."""
    at_50 = [AveragePrecision.mean(one.at_50) for one in found]
    overall = [AveragePrecision.mean(one.at_50_to_95) for one in found]
    return percentile_estimate(at_50[0], at_50[1:]), percentile_estimate(overall[0], overall[1:])


def _estimates(found: Sequence[AveragePrecision], channel: int | None) -> tuple[Estimate | None, Estimate | None]:
    """Of one of `LESION_CLASSES`, as `_means`."""
    if channel is None:
        return None, None
    at_50 = [one.at_50[channel] for one in found]
    overall = [one.at_50_to_95[channel] for one in found]
    return percentile_estimate(at_50[0], at_50[1:]), percentile_estimate(overall[0], overall[1:])


def figures(answered: Sequence[Answered], resamples: int = RESAMPLES, groups: IntArray | None = None) -> Figures | None:
    """Everything measured on some images; `None` when there are none.

    Shares have Wilson's interval of an effective sample size (`trainer.intervals.effective_size`). Average precision
    and calibration error are no shares: theirs come from `resamples` bootstrap draws of whole groups, seeded, so that
    the same answers give the same interval.

    Args:
        answered: the images with their answers.
        resamples: of the bootstrap.
        groups: `(n,)` look-alike group of every image; without, every image is a group of its own.
    """
    if not answered:
        return None
    grouping = np.arange(len(answered)) if groups is None else groups
    opinions, shares = Opinions.of(answered), Shares(grouping)
    draws = list(group_resamples_of(grouping, resamples))
    boxes, boxes_by_class = box_figures([each.read for each in answered], draws)
    confusion = confusion_matrix(opinions.truth, opinions.given, len(CLASSES))
    operating_points = {each.calibration.urgent_threshold for each in answered}
    return Figures(
        images=len(answered),
        groups=len(np.unique(grouping)),
        confusion_matrix=tuple(tuple(row) for row in confusion.tolist()),
        # every fold of a cross-validation has its own
        urgent_threshold=operating_points.pop() if len(operating_points) == 1 else None,
        bootstrap_resamples=resamples,
        decision=decision_figures(answered, opinions, shares),
        calibration=calibration_figures(opinions, draws),
        boxes=boxes,
        per_class=tuple(
            ClassFigures(
                label,
                int(confusion[index].sum()),
                class_scores(opinions.truth, opinions.given, index, shares),
                boxes_by_class[index],
            )
            for index, label in enumerate(CLASSES)
        ),
    )
