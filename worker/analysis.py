"""From slices to the answer for a study: pure, memory bounded by the batch size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from trainer.runtime.decision import (
    Calibration,
    caps_at_review,
    classifier_disagrees,
    is_unlike_brain_mr,
    low_margin,
)
from trainer.runtime.predictor import Predictor
from trainer.runtime.records import NO_TUMOR_INDEX, GreyImage, SlicePrediction, TumorClass, most_likely
from worker.aspect import Aspect
from worker.domain import Analysis, InstanceHeader, ReviewReason, SliceFinding
from worker.triage import Evidence, prioritise

EVIDENCE_SLICES = 3
"""How many of the most suspicious slices speak for a study: a lesion shows on neighbouring slices, a false alarm on
one, so 200 healthy slices are not 200 chances of a false alarm."""


def predict_slices(
    predictor: Predictor, slices: Iterable[tuple[InstanceHeader, Callable[[], GreyImage]]], batch_size: int
) -> Iterator[SliceFinding]:
    """Predict slices batch by batch; pixels are opened only when their batch comes.

    The network sees square pixels; boxes are in pixels of the instance.
    """
    remaining = iter(slices)
    while group := list(islice(remaining, batch_size)):
        aspects = [Aspect.of(header.geometry) for header, _ in group]
        images = [aspect.corrected(open_pixels()) for aspect, (_, open_pixels) in zip(aspects, group, strict=True)]
        predictions = predictor.predict(images, batch_size)
        for (header, _), aspect, prediction in zip(group, aspects, predictions, strict=True):
            boxes = tuple(replace(box, xyxy=aspect.to_stored(box.xyxy)) for box in prediction.boxes)
            yield SliceFinding(header, replace(prediction, boxes=boxes))


def _most_suspicious(slices: Sequence[SliceFinding]) -> list[SliceFinding]:
    """The slices that speak for the study."""
    return sorted(slices, key=lambda finding: -finding.prediction.tumor_probability)[:EVIDENCE_SLICES]


def _of_most(
    slices: Sequence[SliceFinding], holds: Callable[[SlicePrediction, Calibration], bool], calibration: Calibration
) -> bool:
    """Whether something holds of more than half of the slices."""
    return 2 * sum(holds(finding.prediction, calibration) for finding in slices) > len(slices)


def combine(slices: Sequence[SliceFinding]) -> tuple[float, ...]:
    """Probabilities of the study, order of `CLASSES`, sum 1: the mean over its most suspicious slices.

    For a study of one image these are the image's own.
    """
    mean = np.mean([finding.prediction.probabilities for finding in _most_suspicious(slices)], axis=0)
    return tuple(float(value) for value in mean / mean.sum())


def review_reasons(
    slices: Sequence[SliceFinding],
    probabilities: tuple[float, ...],
    calibration: Calibration,
    *,
    patient_id_conflict: bool = False,
) -> tuple[ReviewReason, ...]:
    """Why a person should look, judged on the slices that speak for the study and on whose they are."""
    calls_tumor = most_likely(probabilities) is not TumorClass.NO_TUMOR
    reasons = []
    speaking = _most_suspicious(slices)
    if _of_most(speaking, is_unlike_brain_mr, calibration):
        reasons.append(ReviewReason.UNLIKE_BRAIN_MR)
    elif _of_most(speaking, caps_at_review, calibration):
        reasons.append(ReviewReason.UNSURE_OF_UNFAMILIAR)
    if any(classifier_disagrees(finding.prediction, calibration) for finding in speaking):
        reasons.append(ReviewReason.CLASSIFIER_DISAGREES)
    if low_margin(probabilities, calibration):
        reasons.append(ReviewReason.LOW_MARGIN)
    if calibration.draws_boxes and calls_tumor and not any(finding.prediction.boxes for finding in slices):
        reasons.append(ReviewReason.TUMOR_WITHOUT_BOX)
    if patient_id_conflict:
        reasons.append(ReviewReason.PATIENT_ID_CONFLICT)
    return tuple(reasons)


def conclude(
    slices: Sequence[SliceFinding], calibration: Calibration, *, patient_id_conflict: bool = False
) -> Analysis:
    """The answer for one study from all of its slices; `patient_id_conflict` when they name different patients.

    Raises:
        ValueError: there is no slice.
    """
    if not slices:
        raise ValueError("a study without slices has no answer")
    probabilities = combine(slices)
    reasons = review_reasons(slices, probabilities, calibration, patient_id_conflict=patient_id_conflict)
    evidence = Evidence(1.0 - probabilities[NO_TUMOR_INDEX], calibration.urgent_threshold, frozenset(reasons))
    return Analysis(probabilities, prioritise(evidence), reasons, tuple(slices))
