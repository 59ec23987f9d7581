"""Where the thresholds of `trainer.runtime.decision` stand, chosen on held-out images or set. No torch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.readings import ReadSample
from trainer.runtime.boxes import iou_matrix
from trainer.runtime.decision import EVIDENCE_FLOOR, Calibration, log_odds, margin, probability_of_another_answer
from trainer.runtime.records import GLAND_CHANNEL, SlicePrediction

SENSITIVITY_TARGET = 0.99
"""Share of the held-out tumours that the operating point must call urgent."""
OPERATING_RANGE = (0.1, 0.5)
"""Bounds of the operating point: above one half a slice answered "tumour" could be routine."""
REVIEW_BUDGET = 0.05
"""Share of held-out images that each of the two review rules may send to a person."""
MARGIN_RANGE = (0.1, 0.5)
DISAGREEMENT_RANGE = (0.5, 0.95)
UNFAMILIAR_TUMOR = 0.97
"""How probable a tumour must be on an unfamiliar image, or a person looks. Set, not fitted: where healthy heads of the
shifted sets ask for too little, those with an erased lesion, whose oedema stays, ask for too much (docs/adr/0006)."""
UNFAMILIAR_MISSES = 0.03
"""Share of the tumours of any shifted set that may be called none without a person looking."""
UNFAMILIAR_NONE_RANGE = (0.5, 0.95)
"""Bounds of how probable "no tumour" must be on an unfamiliar image."""
FAMILIAR_SHARE, NOT_UNFAMILIAR_SHARE = 0.8, 0.99
"""Shares of the held-out images that are wholly familiar, and that are not wholly unfamiliar."""
BOX_THRESHOLDS = np.arange(0.15, 0.6, 0.01)
"""The candidates."""
MATCH_IOU = 0.5


def operating_point(tumor_probabilities: npt.NDArray[np.float64]) -> float:
    """The highest P(tumour) that still calls `SENSITIVITY_TARGET` of the tumours `(n,)`, within `OPERATING_RANGE`."""
    missed = int(len(tumor_probabilities) * (1 - SENSITIVITY_TARGET))
    return float(np.clip(np.sort(tumor_probabilities)[missed], *OPERATING_RANGE))


def _log_odds_of(probabilities: tuple[float, float]) -> tuple[float, float]:
    low, high = probabilities
    return log_odds(low), log_odds(high)


def values_at_their_bounds(calibration: Calibration) -> list[str]:
    """Names of the thresholds of a calibration that their range cut off."""
    ranges = {
        "box_threshold": (BOX_THRESHOLDS[0], BOX_THRESHOLDS[-1]),
        "urgent_threshold": OPERATING_RANGE,
        "low_margin": MARGIN_RANGE,
        "disagreement": DISAGREEMENT_RANGE,
    }
    if calibration.judges_boxes_alone:
        ranges["unfamiliar_none_log_odds"] = _log_odds_of(UNFAMILIAR_NONE_RANGE)
    return [name for name, ends in ranges.items() if getattr(calibration, name) in ends]


def unfamiliar_none_log_odds(tumor_log_odds: Sequence[npt.NDArray[np.float64]]) -> float:
    """The log-odds against a tumour that "no tumour" needs on an unfamiliar image, within `UNFAMILIAR_NONE_RANGE`.

    Args:
        tumor_log_odds: of each shifted set, `(n,)` log-odds of a tumour, by the boxes alone, of its tumours. The worst
            set decides: which of them another hospital's scans resemble is not known.
    """
    worst = min(float(np.quantile(each, UNFAMILIAR_MISSES)) for each in tumor_log_odds)
    return float(np.clip(-worst, *_log_odds_of(UNFAMILIAR_NONE_RANGE)))


def margin_threshold(probabilities: npt.NDArray[np.float64]) -> float:
    """The margin that the answers `(n, 4)` to all but `REVIEW_BUDGET` of the images have, within `MARGIN_RANGE`."""
    margins = [margin(each) for each in probabilities.tolist()]
    return float(np.clip(np.quantile(margins, REVIEW_BUDGET), *MARGIN_RANGE))


def disagreement_threshold(predictions: Sequence[SlicePrediction]) -> float:
    """How sure a contradicting classifier must be, so that at most `REVIEW_BUDGET` of the images are a disagreement."""
    doubts = sorted(map(probability_of_another_answer, predictions), reverse=True)
    just_above = doubts[int(len(predictions) * REVIEW_BUDGET)] + 1e-6
    return float(np.clip(just_above, *DISAGREEMENT_RANGE))


def _scored_boxes(reads: Sequence[ReadSample]) -> tuple[list[float], list[bool], int]:
    """Score of every detection, whether it finds a lesion (of any kind) not found by a better one; lesions in all."""
    scores: list[float] = []
    hits: list[bool] = []
    lesions = 0
    for read in reads:
        xyxy, channels, complete = read.lesion_boxes()
        if not complete:
            continue
        marked = xyxy[channels != GLAND_CHANNEL]
        lesions += len(marked)
        overlaps = iou_matrix(read.reading.detections.xyxy, marked)
        for row, score in enumerate(read.reading.detections.scores.tolist()):
            best = int(overlaps[row].argmax()) if len(marked) else 0
            hit = bool(len(marked) and overlaps[row, best] >= MATCH_IOU)
            if hit:
                overlaps[:, best] = 0
            scores.append(score)
            hits.append(hit)
    return scores, hits, lesions


def best_box_threshold(reads: Sequence[ReadSample]) -> float:
    """The drawing threshold with the best F1 (lesion found at IoU 0.5, of any kind), of `BOX_THRESHOLDS`."""
    scores, hits, lesions = _scored_boxes(reads)
    score_array, hit_array = np.array([*scores, EVIDENCE_FLOOR]), np.array([*hits, False])
    f1 = [
        2 * hit_array[score_array >= threshold].sum() / max(1, (score_array >= threshold).sum() + lesions)
        for threshold in BOX_THRESHOLDS
    ]
    # the middle of all best ones: neighbouring candidates often draw the same boxes
    best = BOX_THRESHOLDS[np.isclose(f1, max(f1))]
    return float(best[len(best) // 2])
