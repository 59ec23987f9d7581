"""From slices to the answer for a study: pure, memory bounded by the batch size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from trainer.runtime.decision import Calibration
from trainer.runtime.predictor import Predictor
from trainer.runtime.records import NO_TUMOR_INDEX, GreyImage
from worker.aspect import Aspect
from worker.domain import Analysis, InstanceHeader, ReviewReason, SliceFinding
from worker.study_answer import answer_of
from worker.tracks import LesionTrack, lesion_tracks
from worker.triage import Evidence, prioritise
from worker.volumes import volumes_of


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


def conclude(
    slices: Sequence[SliceFinding], calibration: Calibration, *, patient_id_conflict: bool = False
) -> Analysis:
    """The answer for one study from all slices that were read; `patient_id_conflict` when they name other patients.

    Raises:
        ValueError: there is no slice.
    """
    if not slices:
        raise ValueError("a study without slices has no answer")
    by_key = {finding.header.slice_key: finding for finding in slices}  # copies of a file are one slice
    volumes = volumes_of(finding.header for finding in by_key.values())
    answer = answer_of(volumes, by_key, calibration)
    reasons = answer.review_reasons
    if patient_id_conflict:
        reasons = (*reasons, ReviewReason.PATIENT_ID_CONFLICT)
    evidence = Evidence(1.0 - answer.probabilities[NO_TUMOR_INDEX], calibration.urgent_threshold, frozenset(reasons))
    ordered = tuple(by_key[header.slice_key] for volume in volumes for header in volume.headers)
    return Analysis(answer.probabilities, prioritise(evidence), reasons, ordered)


def lesions_of(analysis: Analysis) -> list[LesionTrack]:
    """The lesions of a study, that with the most certain box first."""
    volumes = volumes_of(finding.header for finding in analysis.slices)
    return lesion_tracks(volumes, {finding.header.slice_key: finding.prediction.boxes for finding in analysis.slices})
