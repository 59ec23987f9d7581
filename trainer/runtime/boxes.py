"""Box geometry shared by both engines and by the losses: locations, decoding, non-maximum suppression."""

import numpy as np
import numpy.typing as npt

from trainer.runtime.preprocess import Letterbox
from trainer.runtime.records import LESION_CLASSES, Detections, FloatArray, NetworkOutput

LEVEL_STRIDES = (8, 16, 32)
"""Network pixels per location of the levels P3, P4, P5."""
NMS_IOU = 0.5
MAX_DETECTIONS = 20


def locations(size: int) -> FloatArray:
    """Centres `(l, 2)` float32 (x, y) in network pixels of every box location, level by level, row-major."""
    grids = []
    for stride in LEVEL_STRIDES:
        centres = (np.arange(size // stride, dtype=np.float32) + 0.5) * stride
        x, y = np.meshgrid(centres, centres)
        grids.append(np.stack([x.ravel(), y.ravel()], 1))
    return np.concatenate(grids)


def iou_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of xyxy boxes `(n, 4)` and `(m, 4)` as `(n, m)`; 0 where the union is empty."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(bottom_right - top_left, 0, None).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a[:, None] + area_b[None] - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0), np.float32)


def suppress(xyxy: FloatArray, scores: FloatArray, iou_threshold: float = NMS_IOU) -> npt.NDArray[np.int64]:
    """Greedy non-maximum suppression over all classes together (one lesion has one class); kept indices, best first."""
    order = np.argsort(-scores, kind="stable")
    overlaps = iou_matrix(xyxy, xyxy)
    kept: list[int] = []
    for index in order:
        if not kept or overlaps[index, kept].max() < iou_threshold:
            kept.append(int(index))
    return np.array(kept, np.int64)


def _sigmoid(x: FloatArray) -> FloatArray:
    return (1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))).astype(np.float32)


def decode(output: NetworkOutput, index: int, fitted: Letterbox, min_score: float) -> Detections:
    """Turn image `index` of a batch into detections in image pixels.

    The score is the geometric mean of class probability and centreness (FCOS, section 3.2); that of a lesion of any
    kind has the noisy-or of the class probabilities in its place. Gland boxes take no part.

    Args:
        output: what the engine returned.
        index: which image of the batch.
        fitted: its letterbox.
        min_score: boxes below are dropped before suppression.
    """
    lesion_logits = output.box_logits[index, :, : len(LESION_CLASSES)]
    centreness = _sigmoid(output.centreness_logits[index])
    probabilities = _sigmoid(lesion_logits)
    all_scores = np.sqrt(probabilities * centreness[:, None])
    any_kind_scores = np.sqrt((1 - (1 - probabilities).prod(1)) * centreness)
    labels = all_scores.argmax(1)
    scores = all_scores.max(1)
    candidates = np.flatnonzero(scores >= min_score)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")][:200]
    centres = locations(fitted.size)[candidates]
    distances = output.box_distances[index, candidates]
    xyxy = fitted.to_image(np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], 1))
    has_area = (xyxy[:, 2] - xyxy[:, 0] >= 1) & (xyxy[:, 3] - xyxy[:, 1] >= 1)
    candidates, xyxy = candidates[has_area], xyxy[has_area]
    kept = suppress(xyxy, scores[candidates])[:MAX_DETECTIONS]
    candidates = candidates[kept]
    return Detections(xyxy[kept], scores[candidates], labels[candidates].astype(np.int64), any_kind_scores[candidates])
