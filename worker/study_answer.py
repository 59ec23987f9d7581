"""From the slices of a study to what is said of it as a whole: one pure function, `answer_of` (docs/adr/0007).

Two hundred healthy slices are not two hundred chances of a false alarm: a lesion shows on neighbouring slices, so
neighbours speak together. And what the network has never seen, a skull base or another scanner's contrast, misleads
it on every slice alike, so that neighbours who agree there prove nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
from worker.tracks import NEIGHBOURS_WITHIN_MM, ROUNDING_MM, SUPPORT_MM, LesionTrack, lesion_tracks
from worker.volumes import Volume

FEWEST_NEIGHBOURS = 2
"""So many slices speak together at least where they are neighbours at all."""
UNPLACED_SLICES = 3
"""So many slices in a row speak together where no position says how far apart they are."""


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
    """Neighbouring slices that speak together."""

    findings: tuple[SliceFinding, ...]

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Mean of its slices."""
        slices = [finding.prediction.probabilities for finding in self.findings]
        return np.asarray(np.mean(slices, axis=0), np.float64)

    @property
    def tumor_probability(self) -> float:
        """1 - P(No Tumor)."""
        return 1.0 - float(self.probabilities[NO_TUMOR_INDEX])

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
    windows = [window for volume in volumes for window in _windows(volume, findings)]
    is_single = len(findings) == 1

    def alarms(window: _Window) -> bool:
        return window.tumor_probability >= calibration.urgent_threshold

    def loudness(window: _Window) -> tuple[bool, float]:
        is_trusted = _doubt(window, calibration, is_single=is_single) is None
        return alarms(window) and is_trusted, window.tumor_probability

    speaking = max(windows, key=loudness)
    boxes = {key: finding.prediction.boxes for key, finding in findings.items()}
    tracks = lesion_tracks(volumes, boxes)
    probabilities = _with_summed_kinds(speaking, tracks, findings)
    reasons = _reasons(speaking, probabilities, calibration, is_single=is_single, has_boxes=bool(tracks))
    return StudyAnswer(probabilities, reasons)


def _windows(volume: Volume, findings: Mapping[SliceKey, SliceFinding]) -> list[_Window]:
    """Every run of neighbouring slices as long as `SUPPORT_MM` asks for; of a shorter volume the whole."""
    slices = [findings[header.slice_key] for header in volume.headers]
    together = min(_slices_together(volume.spacing_mm), len(slices))
    return [_Window(tuple(slices[start : start + together])) for start in range(len(slices) - together + 1)]


def _slices_together(spacing_mm: float | None) -> int:
    if spacing_mm is None:
        return UNPLACED_SLICES
    if spacing_mm > NEIGHBOURS_WITHIN_MM:
        return 1
    return max(FEWEST_NEIGHBOURS, math.ceil((SUPPORT_MM - ROUNDING_MM) / spacing_mm))


def _doubt(window: _Window, calibration: Calibration, *, is_single: bool) -> ReviewReason | None:
    """Why what a window says is not to be acted upon without a person.

    In a study of several slices a tumour needs to show where the model knows the kind of image, at least in part.
    """
    if window.mostly(lambda prediction: is_unlike_brain_mr(prediction, calibration)):
        return ReviewReason.UNLIKE_BRAIN_MR
    is_known = is_single or window.mostly(lambda prediction: familiarity(prediction.novelty, calibration) > 0)
    alarms = window.tumor_probability >= calibration.urgent_threshold
    if window.mostly(lambda prediction: caps_at_review(prediction, calibration)) or (alarms and not is_known):
        return ReviewReason.UNSURE_OF_UNFAMILIAR
    return None


def _with_summed_kinds(
    speaking: _Window, tracks: Sequence[LesionTrack], findings: Mapping[SliceKey, SliceFinding]
) -> tuple[float, ...]:
    """P(tumour) of the window; the kinds over all slices of the lesion in it with the largest sum of scores."""
    keys = {finding.header.slice_key for finding in speaking.findings}
    inside = [track for track in tracks if any(found.header.slice_key in keys for found in track.findings)]
    strongest = max(inside, key=lambda track: sum(found.box.score for found in track.findings), default=None)
    shown = keys if strongest is None else {found.header.slice_key for found in strongest.findings}
    kinds = np.sum([findings[key].prediction.probabilities for key in sorted(shown)], axis=0)
    kinds[NO_TUMOR_INDEX] = 0.0
    probabilities = speaking.tumor_probability * kinds / kinds.sum()
    probabilities[NO_TUMOR_INDEX] = 1.0 - speaking.tumor_probability
    return tuple(probabilities.tolist())


def _reasons(
    speaking: _Window, probabilities: tuple[float, ...], calibration: Calibration, *, is_single: bool, has_boxes: bool
) -> tuple[ReviewReason, ...]:
    doubt = _doubt(speaking, calibration, is_single=is_single)
    reasons = [] if doubt is None else [doubt]
    if any(classifier_disagrees(finding.prediction, calibration) for finding in speaking.findings):
        reasons.append(ReviewReason.CLASSIFIER_DISAGREES)
    if low_margin(probabilities, calibration):
        reasons.append(ReviewReason.LOW_MARGIN)
    if calibration.draws_boxes and most_likely(probabilities) is not TumorClass.NO_TUMOR and not has_boxes:
        reasons.append(ReviewReason.TUMOR_WITHOUT_BOX)
    return tuple(reasons)
