"""The answer for one slice, from the network's boxes and class logits: one pure function, `decide`.

The lesions lead, the global classifier is the second opinion (docs/adr/0006): it learns sequences and skulls and fails
on other hospitals' images, the box head does not. So the classifier's say is bounded (`CLASSIFIER_LIMIT`), boxes of
usual strength weigh at least as much in "tumour or not" (`trainer.fusion`), and on images unlike the training images it
has none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from trainer.runtime.records import (
    CLASSES,
    LESION_CLASSES,
    NO_TUMOR_INDEX,
    Box,
    Detections,
    FloatArray,
    SlicePrediction,
    TumorClass,
)

EVIDENCE_FLOOR = 0.02
"""Boxes scored lower say nothing; an image without any box counts as if it had one of this score."""
CLASSIFIER_LIMIT = 4.0
"""The classifier's log-odds count up to this (98 %), so that its confident mistakes cannot drown a lesion."""
KIND_LIMIT = 6.0
"""Likewise its log-probabilities of the kinds, where no lesion is at stake."""
NO_BOXES = 1.01
"""`box_threshold` of a model that was trained without boxes: no score reaches it."""

NEVER_NOVEL = 2.0
"""`novelty_threshold` of a model without a `TrainingSubspace`: no distance reaches it."""
_HIGHEST_THRESHOLDS = {
    "box_threshold": NO_BOXES,
    "urgent_threshold": 1.0,
    "low_margin": 1.0,
    "disagreement": 1.0,
    "familiar_up_to": NEVER_NOVEL,
    "unfamiliar_from": NEVER_NOVEL,
    "novelty_threshold": NEVER_NOVEL,
}

_TUMOR_INDICES = [CLASSES.index(label) for label in LESION_CLASSES]
_Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How evidence becomes probabilities, and the thresholds; fitted by `trainer.calibrate`, kept in calibration.json.

    Attributes:
        class_temperature: divides the class logits, so that the classifier's own probabilities are honest.
        box_weight: of the best box's log-odds in "tumour or not", on a familiar image.
        classifier_weight: of the classifier's log-odds in the same.
        tumor_bias: log-odds added to both.
        unfamiliar_box_weight: of the best box's log-odds on an unfamiliar image, where the boxes speak alone.
        unfamiliar_bias: log-odds added to them there.
        lesion_weight: of the log-odds of a box's score, of its kind, in "does it mark a lesion".
        lesion_bias: log-odds added to them.
        kind_box_weight: of the best box scores of each kind in "which tumour".
        kind_classifier_weight: of the classifier in the same.
        box_threshold: boxes scored at or above are drawn; 0 to `NO_BOXES`.
        urgent_threshold: P(tumour) from which a slice is urgent: the triage operating point.
        low_margin: a smaller `margin` asks for review.
        unfamiliar_tumor_log_odds: the log-odds that "a tumour" needs on an unfamiliar image, or a person looks.
        unfamiliar_none_log_odds: likewise those against it that "no tumour" needs.
        disagreement: probability the classifier must give another answer to count as a disagreement.
        familiar_up_to: distance to the training images up to which an image is familiar.
        unfamiliar_from: distance from which on it is unfamiliar; between the two it is partly both.
        novelty_threshold: distance to the training images from which an image is no brain MR as the model knows it.
    """

    class_temperature: float = 1.0
    box_weight: float = 1.0
    classifier_weight: float = 0.5
    tumor_bias: float = 1.0
    unfamiliar_box_weight: float = 1.0
    unfamiliar_bias: float = 1.0
    lesion_weight: float = 1.0
    lesion_bias: float = 1.0
    kind_box_weight: float = 1.0
    kind_classifier_weight: float = 0.5
    box_threshold: float = 0.3
    urgent_threshold: float = 0.5
    low_margin: float = 0.2
    unfamiliar_tumor_log_odds: float = 0.0
    unfamiliar_none_log_odds: float = 0.0
    disagreement: float = 0.7
    familiar_up_to: float = NEVER_NOVEL
    unfamiliar_from: float = NEVER_NOVEL
    novelty_threshold: float = NEVER_NOVEL

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if not all(isinstance(value, float | int) and math.isfinite(value) for value in values.values()):
            raise ValueError("every value of a calibration is a finite number")
        not_negative = [value for name, value in values.items() if name.endswith(("_weight", "_log_odds"))]
        if self.class_temperature <= 0 or min(not_negative) < 0:
            raise ValueError(
                "the temperature of a calibration is positive, its weights and needed log-odds are not negative"
            )
        for name, highest in _HIGHEST_THRESHOLDS.items():
            if not 0 <= getattr(self, name) <= highest:
                raise ValueError(f"{name} of a calibration is within 0 and {highest:g}, not {getattr(self, name):g}")

    @property
    def judges_boxes_alone(self) -> bool:
        """Whether the weight of the boxes alone was fitted."""
        return self.unfamiliar_from < NEVER_NOVEL

    @property
    def draws_boxes(self) -> bool:
        """Whether the model was trained to box lesions."""
        return self.box_threshold < NO_BOXES


@dataclass(frozen=True)
class Evidence:
    """What boxes and classifier say about one slice, each on its own.

    Attributes:
        box: log-odds of the box, among those kept, that is most surely a lesion of whichever kind: where a scan leaves
            the kind open, no kind's own score is high.
        classifier: log-odds of tumour, within plus and minus `CLASSIFIER_LIMIT`.
        box_kinds: `(3,)` log of the best score of each of `LESION_CLASSES`.
        classifier_kinds: `(3,)` log-probability of each, given a tumour, at least `-KIND_LIMIT`.
        classifier_probabilities: `(4,)` order of `CLASSES`.
    """

    box: float
    classifier: float
    box_kinds: _Float64Array
    classifier_kinds: _Float64Array
    classifier_probabilities: _Float64Array


def _softmax(x: _Float64Array) -> _Float64Array:
    powers = np.exp(x - x.max())
    return np.asarray(powers / powers.sum(), np.float64)


def log_odds(probability: float) -> float:
    """Log-odds of a probability strictly within 0 and 1."""
    return math.log(probability / (1 - probability))


def sigmoid(x: float) -> float:
    """Probability of log-odds."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def weigh(class_logits: FloatArray, detections: Detections, class_temperature: float) -> Evidence:
    """Evidence from the class logits `(4,)` and the detections of one slice."""
    probabilities = _softmax(class_logits.astype(np.float64) / class_temperature)
    tumor = float(np.clip(probabilities[_TUMOR_INDICES].sum(), 1e-9, 1 - 1e-9))
    kinds = np.log(probabilities[_TUMOR_INDICES] / tumor + 1e-12)
    best = np.full(len(LESION_CLASSES), EVIDENCE_FLOOR)
    np.maximum.at(best, detections.labels, detections.scores.astype(np.float64))
    best = np.minimum(best, 1 - EVIDENCE_FLOOR)
    any_kind = float(detections.any_kind_scores.max(initial=EVIDENCE_FLOOR))
    return Evidence(
        box=log_odds(min(any_kind, 1 - EVIDENCE_FLOOR)),
        classifier=max(-CLASSIFIER_LIMIT, min(CLASSIFIER_LIMIT, log_odds(tumor))),
        box_kinds=np.log(best),
        classifier_kinds=np.maximum(kinds, -KIND_LIMIT),
        classifier_probabilities=probabilities,
    )


def familiarity(novelty: float, calibration: Calibration) -> float:
    """1 for an image of the training images' kind, 0 from `unfamiliar_from` on, in between in proportion."""
    if novelty <= calibration.familiar_up_to:
        return 1.0
    if novelty >= calibration.unfamiliar_from:
        return 0.0
    return (calibration.unfamiliar_from - novelty) / (calibration.unfamiliar_from - calibration.familiar_up_to)


def fuse(evidence: Evidence, calibration: Calibration, novelty: float = 0.0) -> _Float64Array:
    """Probabilities `(4,)`, order of `CLASSES`: tumour or not from the weighed log-odds, the kind from a softmax.

    On a familiar image boxes and classifier answer "tumour or not" together, on an unfamiliar one the boxes alone: what
    the classifier learnt does not carry over to other scanners. In between the two answers are mixed, in log-odds.
    """
    known = familiarity(novelty, calibration)
    together = (
        calibration.box_weight * evidence.box
        + calibration.classifier_weight * evidence.classifier
        + calibration.tumor_bias
    )
    tumor = sigmoid(known * together + (1 - known) * _boxes_alone(evidence.box, calibration))
    kinds = _softmax(
        calibration.kind_box_weight * evidence.box_kinds
        + calibration.kind_classifier_weight * evidence.classifier_kinds
    )
    probabilities = np.zeros(len(CLASSES))
    probabilities[NO_TUMOR_INDEX] = 1 - tumor
    probabilities[_TUMOR_INDICES] = tumor * kinds
    return probabilities


def lesion_probability(score: float, calibration: Calibration) -> float:
    """P(tumour) of an image of which all that is known is that its best box has this score, of its kind.

    It is taken for the probability that a box marks a lesion: on Val the boxes that are drawn do so as often as it says
    (`python -m benchmarks.box_table`), among as many tumours as Val has. Only where `judges_boxes_alone`.
    """
    score = min(max(score, EVIDENCE_FLOOR), 1 - EVIDENCE_FLOOR)
    return sigmoid(calibration.lesion_weight * log_odds(score) + calibration.lesion_bias)


def _boxes_alone(best_box: float, calibration: Calibration) -> float:
    """Log-odds of a tumour from those of the best box, without the classifier."""
    return calibration.unfamiliar_box_weight * best_box + calibration.unfamiliar_bias


def decide(
    class_logits: FloatArray, detections: Detections, calibration: Calibration, novelty: float = 0.0
) -> SlicePrediction:
    """The model's answer for one slice.

    Boxes are drawn by their own score alone, whatever the answer: one on a "No Tumor" slice is a disagreement, and
    `classifier_disagrees` sends it to a person.

    Args:
        class_logits: `(4,)` float32, order of `CLASSES`.
        detections: all boxes from `EVIDENCE_FLOOR` up, in image pixels.
        calibration: of the model.
        novelty: distance to the training images (`trainer.runtime.novelty`), 0 where it is not known.
    """
    evidence = weigh(class_logits, detections, calibration.class_temperature)
    boxes = tuple(
        Box(LESION_CLASSES[label], float(score), (float(x1), float(y1), float(x2), float(y2)))
        for (x1, y1, x2, y2), score, label in zip(
            detections.xyxy, detections.scores, detections.labels.tolist(), strict=True
        )
        if score >= calibration.box_threshold
    )
    return SlicePrediction(
        tuple(fuse(evidence, calibration, novelty).tolist()),
        tuple(evidence.classifier_probabilities.tolist()),
        boxes,
        novelty,
    )


def is_urgent(prediction: SlicePrediction, calibration: Calibration) -> bool:
    """Whether P(tumour) is at or above the operating point."""
    return prediction.tumor_probability >= calibration.urgent_threshold


def is_unlike_brain_mr(prediction: SlicePrediction, calibration: Calibration) -> bool:
    """Whether the image is so unlike the training images that the answer says nothing."""
    return prediction.novelty >= calibration.novelty_threshold


def is_unsure_of_unfamiliar(prediction: SlicePrediction, calibration: Calibration) -> bool:
    """Whether neither a tumour nor none is probable enough for an image that is unlike the training images.

    The same probability means less there: it was calibrated on images like them. On a familiar image the operating
    point parts the two; the less familiar the image, the wider the gap around it.
    """
    found, operating_point = (
        log_odds(min(max(probability, 1e-9), 1 - 1e-9))
        for probability in (prediction.tumor_probability, calibration.urgent_threshold)
    )
    unfamiliar = 1 - familiarity(prediction.novelty, calibration)
    tumor_from = operating_point + unfamiliar * max(0.0, calibration.unfamiliar_tumor_log_odds - operating_point)
    none_up_to = operating_point - unfamiliar * max(0.0, operating_point + calibration.unfamiliar_none_log_odds)
    return none_up_to <= found < tumor_from


def caps_at_review(prediction: SlicePrediction, calibration: Calibration) -> bool:
    """Whether a person has to look before the answer can be urgent: it says nothing, or too little."""
    return is_unlike_brain_mr(prediction, calibration) or is_unsure_of_unfamiliar(prediction, calibration)


def margin(probabilities: Sequence[float]) -> float:
    """By how much an answer (of a slice or of a study, order of `CLASSES`) leads what else it might be.

    "No tumour" against a tumour of any kind, and the other way round; a tumour's kind also against the other kinds.
    """
    none = probabilities[NO_TUMOR_INDEX]
    lead = abs(1 - 2 * none)
    if none > 1 / 2:
        return lead
    second, first = sorted(probabilities[index] for index in _TUMOR_INDICES)[-2:]
    return min(lead, first - second)


def low_margin(probabilities: Sequence[float], calibration: Calibration) -> bool:
    """Whether an answer leads by too little."""
    return margin(probabilities) < calibration.low_margin


def probability_of_another_answer(prediction: SlicePrediction) -> float:
    """The classifier's own probability that the answer is wrong in the way that it deems most likely.

    To "no tumour" that is a tumour of whichever kind, to a tumour none or one of another kind.
    """
    opinion = prediction.classifier_probabilities
    if prediction.label is TumorClass.NO_TUMOR:
        return 1 - opinion[NO_TUMOR_INDEX]
    return max(opinion[index] for index, label in enumerate(CLASSES) if label is not prediction.label)


def classifier_disagrees(prediction: SlicePrediction, calibration: Calibration) -> bool:
    """Whether the two opinions contradict each other.

    Either the classifier is sure enough of another answer, or a lesion is drawn on "No Tumor".
    """
    if prediction.label is TumorClass.NO_TUMOR and prediction.boxes:
        return True
    return probability_of_another_answer(prediction) >= calibration.disagreement
