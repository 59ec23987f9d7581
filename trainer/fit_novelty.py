"""`python -m trainer.fit_novelty`: what is unlike the training images of a model, and from where on a person looks.

The subspace is fitted on images the model was trained on. The threshold stands where it best separates pictures that
are no brain MR from held-out scans as other sequences would show them (`trainer.unfamiliar_images`): never on Val, nor
on other hospitals' scans. `trainer.export` does the same for a new model.
"""

import logging
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track
from sklearn.decomposition import PCA

from trainer.arguments import parse_model_change
from trainer.calibrate import CalibrationError, calibrate_folder, listed_samples
from trainer.grey import read_grey
from trainer.labels import DatasetError, Sample
from trainer.runtime.bundle import (
    CALIBRATION,
    HELD_OUT_FILES,
    NOVELTY,
    TRAINING_FILES,
    Manifest,
    ModelFolderError,
    read_calibration,
    read_manifest,
    write_calibration,
    write_sums,
)
from trainer.runtime.decision import NEVER_NOVEL
from trainer.runtime.engine import EngineError
from trainer.runtime.novelty import TrainingSubspace
from trainer.runtime.predictor import BATCH_SIZE, EngineName, Predictor, load_predictor
from trainer.runtime.records import FloatArray, GreyImage
from trainer.terminal import PROGRESS
from trainer.unfamiliar_images import no_brain_images, other_looks

logger = logging.getLogger("trainer.fit_novelty")

DIMENSIONS = 64
IMAGES = 1200
"""Images the subspace is fitted on, drawn from the training images."""
SEED = 20262


@dataclass(frozen=True)
class Separation:
    """How well a threshold separates.

    Attributes:
        threshold: distance from which an image counts as unlike the training images.
        caught: share of the pictures that are no brain MR above it, 0..1.
        kept: share of the scans below it.
    """

    threshold: float
    caught: float
    kept: float


def separate(scans: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> Separation:
    """The threshold of the best sum of `caught` and `kept` (Youden's index); of equally good ones, in the widest gap.

    Args:
        scans: distances `(n,)` of brain MR.
        others: distances `(m,)` of what is none.
    """
    values = np.unique(np.concatenate([scans, others, [0.0, NEVER_NOVEL]]))  # there is a gap, whatever the distances
    between, gaps = (values[:-1] + values[1:]) / 2, np.diff(values)
    both = (others[None] >= between[:, None]).mean(1) + (scans[None] < between[:, None]).mean(1)
    threshold = float(between[np.where(np.isclose(both, both.max()), gaps, 0).argmax()])
    return Separation(threshold, float((others >= threshold).mean()), float((scans < threshold).mean()))


def features_of(predictor: Predictor, images: Sequence[GreyImage], title: str) -> FloatArray:
    """Pooled features `(n, f)` of images, with a bar."""
    groups = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    return np.concatenate(
        [predictor.features(group) for group in track(groups, title, console=PROGRESS, transient=True)]
    )


def fit_subspace(features: FloatArray, dimensions: int = DIMENSIONS) -> TrainingSubspace:
    """The subspace of features `(n, f)`: their mean and first principal components, of length 1 each."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    fitted = PCA(min(dimensions, *unit.shape), random_state=SEED).fit(unit)
    return TrainingSubspace(fitted.mean_.astype(np.float32), fitted.components_.astype(np.float32))


def _drawn(samples: Sequence[Sample], count: int) -> list[Sample]:
    return random.Random(SEED).sample(list(samples), min(count, len(samples)))


def fit_novelty(
    predictor: Predictor, training: Sequence[Sample], held_out: Sequence[Sample]
) -> tuple[TrainingSubspace, Separation]:
    """Fit the subspace on training images and its threshold beside the held-out ones.

    Raises:
        DatasetError: an image cannot be read.
    """
    seen = [read_grey(sample.image_path) for sample in _drawn(training, IMAGES)]
    subspace = fit_subspace(features_of(predictor, seen, "reading training images"))
    scans = [read_grey(sample.image_path) for sample in held_out]
    looks = features_of(predictor, [*scans, *other_looks(scans, SEED)], "reading held-out images")
    others = features_of(predictor, no_brain_images(scans, SEED), "reading what is no brain MR")
    return subspace, separate(
        subspace.distances(looks).astype(np.float64), subspace.distances(others).astype(np.float64)
    )


def fit_novelty_of_folder(folder: Path, data: Path) -> Separation:
    """Fit both anew for a model folder, then the calibration, which rests on them; write all, with the new sums.

    What it had of them is gone first.

    Raises:
        ModelFolderError: the folder is broken.
        DatasetError: the data folder holds other files than the run saw.
        CalibrationError: its held-out images do not allow a calibration.
        EngineError: OpenVINO cannot run the graph.
    """
    manifest = read_manifest(folder)
    manifest = replace(manifest, files={name: digest for name, digest in manifest.files.items() if name != NOVELTY})
    _write(folder, manifest, NEVER_NOVEL, None)
    predictor = load_predictor(folder, EngineName.OPENVINO)
    training, held_out = (listed_samples(data, folder / name) for name in (TRAINING_FILES, HELD_OUT_FILES))
    subspace, separation = fit_novelty(predictor, training, held_out)
    _write(folder, manifest, separation.threshold, subspace)
    calibrate_folder(folder, data)
    return separation


def _write(folder: Path, manifest: Manifest, threshold: float, subspace: TrainingSubspace | None) -> None:
    if subspace is None:
        (folder / NOVELTY).unlink(missing_ok=True)
    else:
        subspace.write(folder / NOVELTY)
    write_calibration(folder, replace(read_calibration(folder), novelty_threshold=threshold))
    write_sums(folder, manifest, [CALIBRATION] if subspace is None else [CALIBRATION, NOVELTY])


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when it is written, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_model_change("trainer.fit_novelty", __doc__, arguments)
    try:
        separation = fit_novelty_of_folder(parsed.model, parsed.data)
    except (ModelFolderError, DatasetError, CalibrationError, EngineError) as error:
        print(f"trainer.fit_novelty: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    logger.info("its figures are no longer of this calibration: run trainer.evaluate --write and the others again")
    logger.info("threshold %.3f: %.3f of what is no brain MR lies above it, %.3f of the held-out scans below",
                separation.threshold, separation.caught, separation.kept)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
