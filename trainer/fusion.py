"""Fitting the weights of `trainer.runtime.decision` by maximum likelihood, on held-out images. No torch."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from trainer.readings import ReadSample
from trainer.runtime.decision import weigh
from trainer.runtime.records import CLASSES, LESION_CLASSES

logger = logging.getLogger(__name__)

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TEMPERATURE_RANGE = (0.25, 4.0)
BOX_LEAD = 1.0
"""How many times the classifier's weight the boxes have at least, in "tumour or not". The classifier alone is the worse
guide wherever images are not like the training data (docs/data.md)."""
SMALLEST_BOX_GAP = 0.5
"""Log-odds by which tumours must stand out in the boxes for these to take part at all (trials and broken runs)."""


@dataclass(frozen=True)
class HeldOutEvidence:
    """`trainer.runtime.decision.Evidence` of `n` images as arrays: `(n,)`, `(n,)`, `(n, 3)`, `(n, 3)`."""

    box: Float64Array
    classifier: Float64Array
    box_kinds: Float64Array
    classifier_kinds: Float64Array

    @classmethod
    def of(cls, reads: Sequence[ReadSample], class_temperature: float) -> Self:
        """Weigh every image's reading."""
        found = [weigh(read.reading.class_logits, read.reading.detections, class_temperature) for read in reads]
        return cls(
            np.array([evidence.box for evidence in found]),
            np.array([evidence.classifier for evidence in found]),
            np.stack([evidence.box_kinds for evidence in found]),
            np.stack([evidence.classifier_kinds for evidence in found]),
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


def fit_tumor(evidence: HeldOutEvidence, tumor: npt.NDArray[np.bool_], boxes: bool) -> tuple[float, float, float]:
    """Box weight, classifier weight and bias of "tumour or not".

    Each kind of evidence is measured by its gap: how much more of it tumours have than the rest, on average. In these
    units the box weight is held at `BOX_LEAD` times the classifier's or above, so where both speak with their usual
    strength and contradict each other the boxes win. A free fit would follow the classifier: on images like the
    training data it would do alone.
    """
    target = softened(np.stack([~tumor, tumor], 1))[:, 1]
    box_gap = float(evidence.box[tumor].mean() - evidence.box[~tumor].mean())
    classifier_gap = float(evidence.classifier[tumor].mean() - evidence.classifier[~tumor].mean())
    classifier = evidence.classifier / max(classifier_gap, 1e-3)
    box = evidence.box / box_gap if boxes and box_gap >= SMALLEST_BOX_GAP else np.zeros(len(tumor))
    if boxes and not box.any():
        logger.warning("the boxes do not tell tumours apart (gap %.2f): the classifier decides alone", box_gap)
    # one weight is shared, BOX_LEAD to 1, and the box has another on top; neither is negative, so the box leads
    features = np.stack([BOX_LEAD * box + classifier, box, np.ones(len(tumor))], 1)

    def loss(weights: Float64Array) -> float:
        z = features @ weights
        return float(np.mean(np.logaddexp(0, z) - target * z))

    found = minimize(loss, np.array([1.0, 0.0, 0.0]), method="L-BFGS-B", bounds=[(0, None), (0, None), (None, None)])
    shared, extra, bias = (float(value) for value in found.x)
    box_weight = (BOX_LEAD * shared + extra) / box_gap if box.any() else 0.0
    return box_weight, shared / max(classifier_gap, 1e-3), bias


def fit_kind(evidence: HeldOutEvidence, class_indices: IntArray, boxes: bool) -> tuple[float, float]:
    """Box weight and classifier weight of "which tumour", on the tumours alone; what helps more weighs more."""
    kinds = [CLASSES.index(label) for label in LESION_CLASSES]
    rows = np.flatnonzero(np.isin(class_indices, kinds))
    target = softened(class_indices[rows, None] == np.array(kinds))
    box = evidence.box_kinds[rows] if boxes else np.zeros_like(evidence.box_kinds[rows])
    classifier = evidence.classifier_kinds[rows]

    def loss(weights: Float64Array) -> float:
        return -float((target * log_softmax(weights[0] * box + weights[1] * classifier, axis=1)).sum(1).mean())

    found = minimize(loss, np.array([0.5, 0.5]), method="L-BFGS-B", bounds=[(0, None), (0, None)])
    return float(found.x[0]) if boxes else 0.0, float(found.x[1])
