"""What a model says about the images of a data set: decoded, predicted batch by batch, with a bar. No torch."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.progress import track

from trainer.grey import read_grey
from trainer.labels import Sample, lesions_of
from trainer.runtime.decision import Calibration, decide
from trainer.runtime.predictor import BATCH_SIZE, Predictor, Reading
from trainer.runtime.records import NO_TUMOR_INDEX, FloatArray, SlicePrediction
from trainer.terminal import PROGRESS


@dataclass(frozen=True)
class ReadSample:
    """An image of the data set, its size in pixels, and what the network says about it."""

    sample: Sample
    width: int
    height: int
    reading: Reading

    def pixels(self, normalised: FloatArray) -> FloatArray:
        """Boxes `(n, 4)` xyxy from 0..1 to image pixels."""
        return (normalised * np.array([self.width, self.height] * 2, np.float32)).astype(np.float32)

    def lesion_boxes(self) -> tuple[FloatArray, np.ndarray, bool]:
        """Boxes `(n, 4)` in image pixels, their channels `(n,)`, and whether every tumour is marked (`lesions_of`)."""
        lesions = lesions_of(self.sample)
        return self.pixels(lesions.xyxy), lesions.channels, lesions.complete


@dataclass(frozen=True)
class LabelledReading:
    """What the network says about an image, and the index into `CLASSES` of what it shows."""

    reading: Reading
    class_index: int

    @property
    def is_tumor(self) -> bool:
        """Whether it shows a tumour."""
        return self.class_index != NO_TUMOR_INDEX


def read_samples(predictor: Predictor, samples: Sequence[Sample], title: str) -> tuple[list[ReadSample], float]:
    """Predict every sample; returns them with the seconds spent in the predictor alone (no decoding of files).

    Raises:
        DatasetError: an image cannot be read.
    """
    read: list[ReadSample] = []
    seconds = 0.0
    groups = [samples[start : start + BATCH_SIZE] for start in range(0, len(samples), BATCH_SIZE)]
    for group in track(groups, title, console=PROGRESS, transient=True):
        images = [read_grey(sample.image_path) for sample in group]
        start = time.perf_counter()
        readings = predictor.detect(images)
        seconds += time.perf_counter() - start
        for sample, image, reading in zip(group, images, readings, strict=True):
            read.append(ReadSample(sample, image.shape[1], image.shape[0], reading))
    return read, seconds


def answers(reads: Sequence[ReadSample], calibration: Calibration) -> list[SlicePrediction]:
    """The decision on every read image."""
    return [
        decide(read.reading.class_logits, read.reading.detections, calibration, read.reading.novelty) for read in reads
    ]
