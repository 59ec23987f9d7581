"""Readings of images of 100 × 100 pixels without any network."""

from pathlib import Path

import numpy as np

from trainer.labels import LabelLine, Sample, Split
from trainer.readings import ReadSample
from trainer.runtime.predictor import Reading
from trainer.runtime.records import CLASSES, Detections, TumorClass


def line(class_index: int, x1: float, y1: float, x2: float, y2: float) -> LabelLine:
    """A label line from corners in pixels."""
    return LabelLine(class_index, (x1 + x2) / 200, (y1 + y2) / 200, (x2 - x1) / 100, (y2 - y1) / 100)


def read(
    folder: TumorClass,
    lines: tuple[LabelLine, ...] = (),
    found: tuple[tuple[float, int, tuple[float, float, float, float]], ...] = (),
    logits: tuple[float, ...] | None = None,
) -> ReadSample:
    """An image of a folder with label lines, detections (score, label, corners) and class logits."""
    sample = Sample(Split.VAL, "x", Path("x"), Path("x"), folder, lines)
    detections = Detections(
        np.array([corners for _, _, corners in found], np.float32).reshape(-1, 4),
        np.array([score for score, _, _ in found], np.float32),
        np.array([label for _, label, _ in found], np.int64),
        np.array([score for score, _, _ in found], np.float32),
    )
    sure = np.eye(4)[CLASSES.index(folder)] * 4
    return ReadSample(sample, 100, 100, Reading(np.array(sure if logits is None else logits, np.float32), detections))
