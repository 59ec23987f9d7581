"""Average precision of the boxes by the COCO rules (pycocotools), with ignore regions. No torch."""

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from trainer.intervals import IntArray
from trainer.readings import ReadSample
from trainer.runtime.boxes import MAX_DETECTIONS
from trainer.runtime.records import CLASSES, GLAND_CHANNEL, LESION_CLASSES, FloatArray, TumorClass


@dataclass(frozen=True)
class Truth:
    """One marked box.

    Attributes:
        label: index into `LESION_CLASSES`.
        xyxy: `(4,)` float32, image pixels.
        ignore: a box found here is neither right nor wrong.
    """

    label: int
    xyxy: FloatArray
    ignore: bool = False


@dataclass(frozen=True)
class AveragePrecision:
    """Of each of `LESION_CLASSES`, `None` where nothing is marked: at IoU 0.5, and the mean over IoU 0.5 to 0.95."""

    at_50: tuple[float | None, ...]
    at_50_to_95: tuple[float | None, ...]

    @staticmethod
    def mean(values: Sequence[float | None]) -> float | None:
        """Mean over the classes that have a value; `None` when none has."""
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None


def published_truth(read: ReadSample) -> list[Truth]:
    """The label lines as published, classes 0, 1 and 3: a gland counts as a Pituitary box, whatever the folder.

    "No Tumor" lines are left out: they mark the whole head, and the model answers "no tumour" with no box.
    """
    xyxy = read.pixels(np.array([line.xyxy() for line in read.sample.lines], np.float32).reshape(-1, 4))
    labels = [CLASSES[line.class_index] for line in read.sample.lines]
    return [
        Truth(LESION_CLASSES.index(label), box)
        for label, box in zip(labels, xyxy, strict=True)
        if label is not TumorClass.NO_TUMOR
    ]


def tumor_truth(read: ReadSample) -> list[Truth] | None:
    """The lesions alone. A normal gland is an ignore region of class Pituitary (a Pituitary box there is not counted).

    Returns:
        `None` for a tumour image whose tumour is not marked: no box there can be judged, the image takes no part.
    """
    xyxy, channels, complete = read.lesion_boxes()
    if not complete:
        return None
    pituitary = LESION_CLASSES.index(TumorClass.PITUITARY)
    return [
        Truth(pituitary, box, ignore=True) if channel == GLAND_CHANNEL else Truth(int(channel), box)
        for box, channel in zip(xyxy, channels, strict=True)
    ]


def _as_coco(boxes: FloatArray) -> list[float]:
    x1, y1, x2, y2 = (float(side) for side in boxes)
    return [x1, y1, x2 - x1, y2 - y1]


def _annotations(truths: Sequence[Sequence[Truth]]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for image, boxes in enumerate(truths, start=1):
        for truth in boxes:
            box = _as_coco(truth.xyxy)
            found.append(
                # numbered from 1: COCOeval takes 0 for "no match"; "crowd" is its word for an ignore region
                {"id": len(found) + 1, "image_id": image, "category_id": truth.label, "bbox": box}
                | {"area": box[2] * box[3], "iscrowd": int(truth.ignore)}
            )
    return found


def _results(reads: Sequence[ReadSample]) -> list[dict[str, object]]:
    return [
        {"image_id": image, "category_id": int(label), "bbox": _as_coco(xyxy), "score": float(score)}
        for image, read in enumerate(reads, start=1)
        for xyxy, score, label in zip(
            read.reading.detections.xyxy, read.reading.detections.scores, read.reading.detections.labels, strict=True
        )
    ]


class MatchedBoxes:
    """The detections of some images, matched to what is marked once; then scored over any selection of the images.

    Matching (`COCOeval.evaluate`) looks at one image at a time, so a bootstrap repeats only the sum over the images
    (`COCOeval.accumulate`).
    """

    def __init__(self, reads: Sequence[ReadSample], truths: Sequence[Sequence[Truth] | None]) -> None:
        """Match.

        Args:
            reads: the images with their detections.
            truths: what is marked on each; an image whose truth is `None` takes no part.
        """
        judged = [(read, truth) for read, truth in zip(reads, truths, strict=True) if truth is not None]
        takes_part = np.array([truth is not None for truth in truths], bool)
        # where an image stands among the judged ones, -1 for nowhere
        self._place = np.where(takes_part, takes_part.cumsum() - 1, -1)
        self._evaluation = _matched([read for read, _ in judged], [truth for _, truth in judged]) if judged else None

    def average_precision(self, images: IntArray | None = None) -> AveragePrecision:
        """Score all images, or those of `images` `(k,)`: indices into them, repetitions counted."""
        places = self._place if images is None else self._place[images]
        chosen = places[places >= 0].tolist()
        if self._evaluation is None or not chosen:
            nothing = (None,) * len(LESION_CLASSES)
            return AveragePrecision(nothing, nothing)
        return _accumulated(self._evaluation, chosen)


def _matched(reads: Sequence[ReadSample], truths: Sequence[Sequence[Truth]]) -> COCOeval:
    """Run the pass over the images; `evalImgs` then runs over classes, and within a class over images."""
    marked = COCO()
    marked.dataset = {
        "images": [{"id": image} for image in range(1, len(reads) + 1)],
        "annotations": _annotations(truths),
        "categories": [{"id": index, "name": str(name)} for index, name in enumerate(LESION_CLASSES)],
    }
    results = _results(reads)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its every step
        marked.createIndex()
        evaluation = COCOeval(marked, marked.loadRes(results) if results else COCO(), "bbox")
        evaluation.params.catIds = list(range(len(LESION_CLASSES)))
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0.0, 1e10]], ["all"]
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
    return evaluation


def _accumulated(evaluation: COCOeval, places: Sequence[int]) -> AveragePrecision:
    """Average precision over the judged images at `places`; `evaluation` itself is left as it is."""
    images = len(evaluation.params.imgIds)
    chosen = copy.copy(evaluation)
    chosen.evalImgs = [
        evaluation.evalImgs[start + place]
        for start in range(0, len(LESION_CLASSES) * images, images)
        for place in places
    ]
    # accumulate() looks images up by the place of their id, so the drawn ones get ids of their own
    chosen.params = copy.copy(evaluation.params)
    chosen.params.imgIds = list(range(1, len(places) + 1))
    chosen._paramsEval = chosen.params  # noqa: SLF001  where evaluate() leaves what it was asked
    with contextlib.redirect_stdout(io.StringIO()):
        chosen.accumulate()
    # (thresholds, 101 recalls, classes, areas, limits) to (thresholds, 101 recalls, classes); -1: nothing is marked
    precision = chosen.eval["precision"][:, :, :, 0, -1]
    per_class = [precision[:, :, index] for index in range(len(LESION_CLASSES))]
    return AveragePrecision(
        tuple(None if values.min() < 0 else float(values[0].mean()) for values in per_class),
        tuple(None if values.min() < 0 else float(values.mean()) for values in per_class),
    )


def average_precision(reads: Sequence[ReadSample], truths: Sequence[Sequence[Truth] | None]) -> AveragePrecision:
    """Score the detections of `reads` against `truths`, image by image; images whose truth is `None` take no part."""
    return MatchedBoxes(reads, truths).average_precision()
