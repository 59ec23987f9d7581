"""Fitting the weights of `trainer.runtime.decision` by maximum likelihood, on held-out images. No torch."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from trainer.readings import LabelledReading
from trainer.runtime.decision import log_odds, weigh
from trainer.runtime.records import CLASSES, LESION_CLASSES

logger = logging.getLogger(__name__)

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TEMPERATURE_RANGE = (0.25, 4.0)
BOX_LEAD = 1.0
"""How many times the classifier's weight the boxes have at least, in "tumour or not" on familiar images, each in units
of its own gap. Above 1 the boxes would win every contradiction there, which costs accuracy: on images like the training
data the classifier is the better judge."""
SMALLEST_BOX_GAP = 0.5
"""Log-odds by which tumours must stand out in the boxes for these to take part at all (trials and broken runs)."""


@dataclass(frozen=True)
class TumorEvidence:
    """What speaks for a tumour in `n` images, and the truth.

    Attributes:
        box: `(n,)` as `trainer.runtime.decision.Evidence.box`.
        box_of_a_kind: `(n,)` log-odds of the best box by the score of its kind, as `lesion_probability` takes it.
        classifier: `(n,)` likewise.
        tumor: `(n,)` bool.
    """

    box: Float64Array
    box_of_a_kind: Float64Array
    classifier: Float64Array
    tumor: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, images: Sequence[LabelledReading], class_temperature: float) -> Self:
        """Weigh every reading."""
        found = [weigh(each.reading.class_logits, each.reading.detections, class_temperature) for each in images]
        return cls(
            np.array([evidence.box for evidence in found]),
            np.array([log_odds(float(np.exp(evidence.box_kinds.max()))) for evidence in found]),
            np.array([evidence.classifier for evidence in found]),
            np.array([each.is_tumor for each in images]),
        )

    def gap(self, values: Float64Array) -> float:
        """How much more of `values` `(n,)` tumours have than the rest, on average."""
        return float(values[self.tumor].mean() - values[~self.tumor].mean())


@dataclass(frozen=True)
class KindEvidence:
    """What speaks for each of `LESION_CLASSES` in `n` tumours: of the boxes and the classifier `(n, 3)`; the truth too.

    Attributes:
        box: as `trainer.runtime.decision.Evidence.box_kinds`.
        classifier: as its `classifier_kinds`.
        kinds: `(n, 3)` bool, one true in each row.
    """

    box: Float64Array
    classifier: Float64Array
    kinds: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, images: Sequence[LabelledReading], class_temperature: float) -> Self:
        """Weigh the readings of the tumours among `images`."""
        tumors = [each for each in images if each.is_tumor]
        found = [weigh(each.reading.class_logits, each.reading.detections, class_temperature) for each in tumors]
        indices = np.array([CLASSES.index(label) for label in LESION_CLASSES])
        return cls(
            np.stack([evidence.box_kinds for evidence in found]),
            np.stack([evidence.classifier_kinds for evidence in found]),
            np.array([each.class_index for each in tumors])[:, None] == indices,
        )


def fit_temperature(class_logits: npt.NDArray[np.float32], class_indices: IntArray) -> float:
    """Temperature of the classifier's own probabilities by negative log-likelihood (https://arxiv.org/abs/1706.04599)."""
    logits = class_logits.astype(np.float64)
    rows = np.arange(len(logits))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, class_indices].mean())

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURE_RANGE), method="bounded")
    return float(np.exp(found.x))


def softened(one_hot: npt.NDArray[np.bool_]) -> Float64Array:
    """Targets `(n, k)` a little off 0 and 1, the less so the more images of the class there are.

    As if every class had one more image, of unknown class (Platt, 1999, with one instead of two). Held-out images that
    separate perfectly would otherwise make infinite weights.
    """
    counts = one_hot.sum(0)[one_hot.argmax(1)][:, None]
    return np.asarray((one_hot * counts + 1 / one_hot.shape[1]) / (counts + 1), np.float64)


def boxes_tell_tumors_apart(evidence: TumorEvidence) -> bool:
    """Whether tumours stand out in the boxes at all."""
    gap = evidence.gap(evidence.box)
    if gap < SMALLEST_BOX_GAP:
        logger.warning("the boxes do not tell tumours apart (gap %.2f): the classifier decides alone", gap)
    return gap >= SMALLEST_BOX_GAP


def fit_tumor(evidence: TumorEvidence, *, boxes: bool) -> tuple[float, float, float]:
    """Box weight, classifier weight and bias of "tumour or not", on familiar images.

    Each kind of evidence is measured by its gap. In these units the box weight is held at `BOX_LEAD` times the
    classifier's or above, so where both speak with their usual strength and contradict each other the classifier cannot
    win. A free fit would follow the classifier: on images like the training data it would do alone.
    """
    box_gap, classifier_gap = evidence.gap(evidence.box), max(evidence.gap(evidence.classifier), 1e-3)
    box = evidence.box / box_gap if boxes else np.zeros(len(evidence.tumor))
    # one weight is shared, BOX_LEAD to 1, and the box has another on top; neither is negative, so the box leads
    features = np.stack([BOX_LEAD * box + evidence.classifier / classifier_gap, box], 1)
    (shared, extra), bias = _fit_log_odds(features, evidence.tumor, np.full(len(box), 1 / len(box)))
    return (BOX_LEAD * shared + extra) / box_gap if boxes else 0.0, shared / classifier_gap, bias


def fit_boxes_alone(boxes: Sequence[Float64Array], tumor: Sequence[npt.NDArray[np.bool_]]) -> tuple[float, float]:
    """Weight and bias of "tumour or not" by the boxes alone.

    Args:
        boxes: of each set of images, of which each counts the same, `(n,)` log-odds of the best box.
        tumor: of each set `(n,)` the truth.
    """
    counts = np.concatenate([np.full(len(each), 1 / len(each) / len(boxes)) for each in boxes])
    (weight,), bias = _fit_log_odds(np.concatenate(boxes)[:, None], np.concatenate(tumor), counts)
    return weight, bias


def _fit_log_odds(
    features: Float64Array, tumor: npt.NDArray[np.bool_], counts: Float64Array
) -> tuple[tuple[float, ...], float]:
    """Weights of features `(n, k)`, none negative, and bias of the log-odds of a tumour `(n,)`, by likelihood.

    Args:
        features: `(n, k)`.
        tumor: `(n,)` the truth.
        counts: `(n,)` what each image counts, sum 1.
    """
    target = softened(np.stack([~tumor, tumor], 1))[:, 1]

    def loss(weights: Float64Array) -> float:
        z = features @ weights[:-1] + weights[-1]
        return float(counts @ (np.logaddexp(0, z) - target * z))

    start = np.array([1.0, *([0.0] * features.shape[1])])
    bounds = [(0, None)] * features.shape[1] + [(None, None)]
    *weights, bias = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x.tolist()
    return tuple(weights), bias


def fit_kind(evidence: KindEvidence, *, boxes: bool) -> tuple[float, float]:
    """Box weight and classifier weight of "which tumour"; what helps more weighs more."""
    target = softened(evidence.kinds)
    box = evidence.box if boxes else np.zeros_like(evidence.box)

    def loss(weights: Float64Array) -> float:
        return -float((target * log_softmax(weights[0] * box + weights[1] * evidence.classifier, axis=1)).sum(1).mean())

    found = minimize(loss, np.array([0.5, 0.5]), method="L-BFGS-B", bounds=[(0, None), (0, None)])
    return float(found.x[0]) if boxes else 0.0, float(found.x[1])
