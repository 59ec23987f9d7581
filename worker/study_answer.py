"""From the slices of a study to what is said of it as a whole: one pure function, `answer_of` (docs/adr/0007).

Two hundred healthy slices are not two hundred chances of a false alarm: a lesion shows on neighbouring slices, so
neighbours speak together. And what the network has never seen, a skull base or another scanner's contrast, misleads
it on every slice alike, so that neighbours who agree there prove nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from trainer.runtime.decision import (
    Calibration,
    caps_at_review,
    classifier_disagrees,
    familiarity,
    is_unlike_brain_mr,
    low_margin,
)
from trainer.runtime.records import NO_TUMOR_INDEX, SlicePrediction, TumorClass, most_likely
from worker.domain import ReviewReason, SliceFinding, SliceKey
from worker.neighbours import said_together, windows_of
from worker.tracks import LesionTrack, lesion_tracks
from worker.volumes import Volume


@dataclass(frozen=True)
class StudyAnswer:
    """What is said of a study.

    Attributes:
        probabilities: order of `CLASSES`, sum 1.
        review_reasons: why a person should look, as far as the slices say.
    """

    probabilities: tuple[float, ...]
    review_reasons: tuple[ReviewReason, ...]


@dataclass(frozen=True)
class _Window:
    """Neighbouring places of a volume that speak together.

    Attributes:
        findings: of all slices there.
        tumor_probability: what they say together.
    """

    findings: tuple[SliceFinding, ...]
    tumor_probability: float

    def mostly(self, holds: Callable[[SlicePrediction], bool]) -> bool:
        """Whether something holds of more than half of its slices."""
        return 2 * sum(holds(finding.prediction) for finding in self.findings) > len(self.findings)


def answer_of(
    volumes: Sequence[Volume], findings: Mapping[SliceKey, SliceFinding], calibration: Calibration
) -> StudyAnswer:
    """The answer for a study; for one of a single slice the slice's own.

    P(tumour) is that of the window that speaks loudest: first those that may make the study urgent, then the others.
    Which tumour is summed over the slices of the strongest lesion in it.

    Args:
        volumes: of the slices that were read, at least one.
        findings: the prediction of each of them.
        calibration: of the model.
    """
    is_single = len(findings) == 1

    def loudness(window: _Window) -> tuple[bool, float]:
        alarms = window.tumor_probability >= calibration.urgent_threshold
        is_trusted = alarms and _doubt(window, calibration, is_single=is_single) is None
        return is_trusted, window.tumor_probability

    speaking = max((window for volume in volumes for window in _windows(volume, findings)), key=loudness)
    boxes = {key: finding.prediction.boxes for key, finding in findings.items()}
    tracks = _tracks_in(speaking, lesion_tracks(volumes, boxes))
    probabilities = _with_summed_kinds(speaking, tracks, findings)
    doubt = _doubt(speaking, calibration, is_single=is_single)
    reasons = _reasons(speaking, probabilities, calibration, doubt, has_boxes=bool(tracks))
    return StudyAnswer(probabilities, reasons)


def _windows(volume: Volume, findings: Mapping[SliceKey, SliceFinding]) -> Iterator[_Window]:
    spacing = volume.spacing_mm
    for window in windows_of(volume):
        places = [[findings[header.slice_key] for header in place] for place in window]
        heard = [float(np.mean([finding.prediction.tumor_probability for finding in place])) for place in places]
        yield _Window(tuple(chain.from_iterable(places)), said_together(heard, spacing))


def _doubt(window: _Window, calibration: Calibration, *, is_single: bool) -> ReviewReason | None:
    """Why what a window says is not to be acted upon without a person.

    In a study of several slices a tumour needs to show where the model knows the kind of image: at least in part where
    neighbours say the same, wholly where one slice stands alone.
    """
    if window.mostly(lambda prediction: is_unlike_brain_mr(prediction, calibration)):
        return ReviewReason.UNLIKE_BRAIN_MR
    stands_alone = len(window.findings) == 1

    def is_of_known_kind(prediction: SlicePrediction) -> bool:
        known = familiarity(prediction.novelty, calibration)
        return known == 1 if stands_alone else known > 0

    is_known = is_single or window.mostly(is_of_known_kind)
    alarms = window.tumor_probability >= calibration.urgent_threshold
    if window.mostly(lambda prediction: caps_at_review(prediction, calibration)) or (alarms and not is_known):
        return ReviewReason.UNSURE_OF_UNFAMILIAR
    return None


def _tracks_in(window: _Window, tracks: Sequence[LesionTrack]) -> list[LesionTrack]:
    """The lesions that some of its slices show."""
    keys = {finding.header.slice_key for finding in window.findings}
    return [track for track in tracks if any(found.header.slice_key in keys for found in track.findings)]


def _with_summed_kinds(
    speaking: _Window, tracks: Sequence[LesionTrack], findings: Mapping[SliceKey, SliceFinding]
) -> tuple[float, ...]:
    """P(tumour) of the window; the kinds over all slices of the lesion in it with the largest sum of scores."""
    strongest = max(tracks, key=lambda track: sum(found.box.score for found in track.findings), default=None)
    seen = (
        speaking.findings if strongest is None else [findings[found.header.slice_key] for found in strongest.findings]
    )
    kinds = np.sum([finding.prediction.probabilities for finding in seen], axis=0)
    kinds[NO_TUMOR_INDEX] = 0.0
    probabilities = speaking.tumor_probability * kinds / kinds.sum()
    probabilities[NO_TUMOR_INDEX] = 1.0 - speaking.tumor_probability
    return tuple(probabilities.tolist())


def _reasons(
    speaking: _Window,
    probabilities: tuple[float, ...],
    calibration: Calibration,
    doubt: ReviewReason | None,
    *,
    has_boxes: bool,
) -> tuple[ReviewReason, ...]:
    reasons = [] if doubt is None else [doubt]
    if any(classifier_disagrees(finding.prediction, calibration) for finding in speaking.findings):
        reasons.append(ReviewReason.CLASSIFIER_DISAGREES)
    if low_margin(probabilities, calibration):
        reasons.append(ReviewReason.LOW_MARGIN)
    if calibration.draws_boxes and most_likely(probabilities) is not TumorClass.NO_TUMOR and not has_boxes:
        reasons.append(ReviewReason.TUMOR_WITHOUT_BOX)
    return tuple(reasons)
