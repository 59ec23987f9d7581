"""The one door to the model: `load_predictor(folder)`, then `predict(images)`.

Nothing is loaded at import time or before `load_predictor` is called, since the worker's processes are forked first
(docs/architecture.md): call it in the process that predicts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from trainer.runtime import openvino_engine, openvino_int8_engine, torch_engine
from trainer.runtime.boxes import decode
from trainer.runtime.bundle import ModelBundle
from trainer.runtime.decision import EVIDENCE_FLOOR, decide
from trainer.runtime.engine import Backend, Engine
from trainer.runtime.flip import average_with_mirrored
from trainer.runtime.preprocess import Letterbox, letterbox, to_batch
from trainer.runtime.records import Detections, FloatArray, GreyImage, NetworkOutput, SlicePrediction

BATCH_SIZE = 8


class EngineName(StrEnum):
    """What runs the network; `auto` takes torch where it finds a GPU, else openvino. int8 only when asked for."""

    AUTO = "auto"
    OPENVINO = "openvino"
    OPENVINO_INT8 = "openvino-int8"
    TORCH = "torch"


_BACKENDS: Mapping[EngineName, Backend] = {
    EngineName.OPENVINO: openvino_engine,
    EngineName.OPENVINO_INT8: openvino_int8_engine,
    EngineName.TORCH: torch_engine,
}


@dataclass(frozen=True)
class Reading:
    """What the network says about one image, before any decision.

    Attributes:
        class_logits: `(4,)` float32, order of `CLASSES`.
        detections: lesion boxes from a score of `EVIDENCE_FLOOR` up, in image pixels.
        novelty: distance to the training images, 0 for a model that has no `TrainingSubspace`.
    """

    class_logits: FloatArray
    detections: Detections
    novelty: float = 0.0


class Predictor:
    """A model ready to read images, in one process."""

    def __init__(self, bundle: ModelBundle, engine: Engine) -> None:
        self.bundle = bundle
        self._engine = engine

    @property
    def engine_name(self) -> str:
        """`openvino`, `openvino-int8` or `torch`."""
        return self._engine.name

    def predict(self, images: Sequence[GreyImage], batch_size: int = BATCH_SIZE) -> list[SlicePrediction]:
        """The model's answers for decoded images `(h, w)` uint8, in the same order.

        Args:
            images: grey, bright is high, of any sizes.
            batch_size: images in one pass of the network; bounds the memory.

        Raises:
            ValueError: an image is not two-dimensional uint8, or empty.
        """
        calibration = self.bundle.calibration
        return [
            decide(reading.class_logits, reading.detections, calibration, reading.novelty)
            for reading in self.detect(images, batch_size)
        ]

    def detect(self, images: Sequence[GreyImage], batch_size: int = BATCH_SIZE) -> list[Reading]:
        """The same without the decision, for calibration and evaluation."""
        readings: list[Reading] = []
        for start in range(0, len(images), batch_size):
            readings.extend(self._read_batch(images[start : start + batch_size]))
        return readings

    def features(self, images: Sequence[GreyImage]) -> FloatArray:
        """Pooled features `(n, 2048)` of one batch of images, as `predict` takes them."""
        self._check(images)
        return self._run(to_batch([square for square, _ in self._fit(images)])).features

    @staticmethod
    def _check(images: Sequence[GreyImage]) -> None:
        for image in images:
            if image.ndim != 2 or image.dtype != np.uint8 or not image.size:
                raise ValueError(f"an image is (h, w) uint8, not {image.shape} {image.dtype}")

    def _read_batch(self, images: Sequence[GreyImage]) -> Iterator[Reading]:
        self._check(images)
        fitted = self._fit(images)
        output = self._run(to_batch([square for square, _ in fitted]))
        subspace = self.bundle.subspace
        novelties = np.zeros(len(fitted)) if subspace is None else subspace.distances(output.features)
        for index, (_, box) in enumerate(fitted):
            detections = decode(output, index, box, EVIDENCE_FLOOR)
            yield Reading(output.class_logits[index], detections, float(novelties[index]))

    def _fit(self, images: Sequence[GreyImage]) -> list[tuple[GreyImage, Letterbox]]:
        return [letterbox(image, self.bundle.input_size, self.bundle.cut_to_head) for image in images]

    def _run(self, batch: FloatArray) -> NetworkOutput:
        output = self._engine.run(batch)
        if not self.bundle.flip_tta:
            return output
        return average_with_mirrored(output, self._engine.run(batch[..., ::-1]), self.bundle.input_size)


def load_predictor(
    folder: Path, engine: EngineName = EngineName.AUTO, threads: int = 0, cache: Path | None = None
) -> Predictor:
    """Read a model folder and make it ready to run, in the process that calls.

    Args:
        folder: `models/<version>`.
        engine: what runs the network.
        threads: CPU threads of this process; 0 takes all cores.
        cache: folder for compiled graphs (OpenVINO), `None` for none.

    Raises:
        ModelFolderError: the folder is broken, or of a later version.
        EngineError: the engine that was asked for is not installed, cannot load the model, or needs a file the model
            has not (int8).
    """
    bundle = ModelBundle.load(folder)
    if engine is EngineName.AUTO:
        engine = EngineName.TORCH if torch_engine.has_gpu() else EngineName.OPENVINO
    return Predictor(bundle, _BACKENDS[engine].load_engine(bundle, threads, cache))
