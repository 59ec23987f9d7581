"""The values inference passes around. Boxes are `(x1, y1, x2, y2)` in pixels of the decoded image, origin top left."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
GreyImage = npt.NDArray[np.uint8]
Xyxy = tuple[float, float, float, float]


class TumorClass(StrEnum):
    """The four answers, in the order of the data set's class indices (YOLO labels 0 to 3)."""

    GLIOMA = "Glioma"
    MENINGIOMA = "Meningioma"
    NO_TUMOR = "No Tumor"
    PITUITARY = "Pituitary"


CLASSES: tuple[TumorClass, ...] = tuple(TumorClass)
NO_TUMOR_INDEX = CLASSES.index(TumorClass.NO_TUMOR)

LESION_CLASSES: tuple[TumorClass, ...] = (TumorClass.GLIOMA, TumorClass.MENINGIOMA, TumorClass.PITUITARY)
"""Box channels 0 to 2 of the network. Channel 3 is the normal pituitary gland: learnt, never drawn nor counted."""
GLAND_CHANNEL = len(LESION_CLASSES)
BOX_CHANNELS = len(LESION_CLASSES) + 1


def most_likely(probabilities: Sequence[float]) -> TumorClass:
    """The class of the largest of four probabilities, order of `CLASSES`; the first of equals."""
    return CLASSES[max(range(len(CLASSES)), key=probabilities.__getitem__)]


@dataclass(frozen=True)
class NetworkOutput:
    """Raw output of an engine for a batch of `n` letterboxed images with `l` box locations.

    Attributes:
        class_logits: `(n, 4)` float32, order of `CLASSES`.
        features: `(n, 2048)` float32, globally pooled backbone features.
        box_logits: `(n, l, 4)` float32, order of `LESION_CLASSES` plus gland.
        box_distances: `(n, l, 4)` float32, left/top/right/bottom distances from the location, in network pixels.
        centreness_logits: `(n, l)` float32.
    """

    class_logits: FloatArray
    features: FloatArray
    box_logits: FloatArray
    box_distances: FloatArray
    centreness_logits: FloatArray


@dataclass(frozen=True)
class Detections:
    """Boxes of one image before any threshold of the decision, highest score first.

    Attributes:
        xyxy: `(k, 4)` float32 in image pixels.
        scores: `(k,)` float32 in 0..1, of the kind in `labels`.
        labels: `(k,)` int64, index into `LESION_CLASSES`.
        any_kind_scores: `(k,)` float32 in 0..1, of a lesion of whichever kind, not below `scores`;
            which boxes are kept goes by `scores`.
    """

    xyxy: FloatArray
    scores: FloatArray
    labels: npt.NDArray[np.int64]
    any_kind_scores: FloatArray


@dataclass(frozen=True)
class Box:
    """One lesion box as it is reported; `xyxy` in pixels of the decoded image."""

    label: TumorClass
    score: float
    xyxy: Xyxy


@dataclass(frozen=True)
class SlicePrediction:
    """The model's answer for one image.

    Attributes:
        probabilities: fused and calibrated, order of `CLASSES`, sum 1.
        classifier_probabilities: the global classifier alone (the second opinion), same order.
        boxes: lesions at or above the model's drawing threshold, highest score first.
        novelty: distance to the training images (`trainer.runtime.novelty`), 0 where it is not known.
    """

    probabilities: tuple[float, ...]
    classifier_probabilities: tuple[float, ...]
    boxes: tuple[Box, ...]
    novelty: float = 0.0

    @property
    def label(self) -> TumorClass:
        """The class of the largest fused probability."""
        return most_likely(self.probabilities)

    @property
    def tumor_probability(self) -> float:
        """1 - P(No Tumor)."""
        return 1.0 - self.probabilities[NO_TUMOR_INDEX]
