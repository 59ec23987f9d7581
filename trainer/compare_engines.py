"""`python -m trainer.compare_engines`: do all engines of a model give the answers of its float32 network, and how fast?

The reference is torch in float32 on the CPU, eager. Exit code 1 when an engine is outside its `Limits`.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from rich.table import Table

from trainer.average_precision import AveragePrecision, average_precision, published_truth, tumor_truth
from trainer.engine_comparison import (
    ENGINES,
    HEADINGS,
    ComparedEngine,
    EngineComparison,
    measured_files,
    table_rows,
)
from trainer.grey import read_grey
from trainer.labels import DatasetError, Sample, Split, list_samples
from trainer.model_card import write_model_card
from trainer.readings import answers, read_samples
from trainer.runtime import torch_engine
from trainer.runtime.bundle import ModelBundle, ModelFolderError, read_manifest
from trainer.runtime.engine import EngineError
from trainer.runtime.openvino_import import openvino_core
from trainer.runtime.predictor import BATCH_SIZE, EngineName, Predictor, load_predictor
from trainer.runtime.records import GreyImage
from trainer.terminal import result_console

logger = logging.getLogger("trainer.compare_engines")

REFERENCE = "torch float32"
ROUNDS = 5
"""Times every engine is timed, in turn: whatever else the machine does meets all of them alike."""
IMAGES_PER_ROUND = 32


@dataclass(frozen=True)
class Limits:
    """How far an engine may be from the reference; `None`: any.

    Attributes:
        max_probability_difference: of any probability of any image.
        max_novelty_difference: of the distance of any image to the training images.
        min_same_labels: share of images with the same label, 0..1.
        max_accuracy_lost: 0..1.
        max_map50_lost: 0..1, on all boxes as published and on the tumours alone.
    """

    max_probability_difference: float | None = None
    max_novelty_difference: float | None = None
    min_same_labels: float | None = None
    max_accuracy_lost: float | None = None
    max_map50_lost: float | None = None


LIMITS: dict[EngineName, Limits] = {
    EngineName.OPENVINO: Limits(max_probability_difference=1e-3, max_novelty_difference=1e-3),
    EngineName.OPENVINO_INT8: Limits(
        max_novelty_difference=0.06, min_same_labels=0.99, max_accuracy_lost=0.003, max_map50_lost=0.01
    ),
    EngineName.TORCH: Limits(),  # bfloat16, compared where there is a GPU
}


@dataclass(frozen=True)
class Answers:
    """What an engine says about `n` samples.

    Attributes:
        probabilities: `(n, 8)` fused, then the classifier's own, each in the order of `CLASSES`.
        novelties: `(n,)` distances to the training images.
        accuracy: of the fused ones, 0..1.
        map50: over the classes with boxes, as published; `None` where no image has one.
        map50_tumour: over the tumours alone.
        map: as `map50`, mean over IoU 0.5 to 0.95.
    """

    probabilities: npt.NDArray[np.float64]
    novelties: npt.NDArray[np.float64]
    accuracy: float
    map50: float | None
    map50_tumour: float | None
    map: float | None

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class indices `(n,)`."""
        return np.asarray(self.probabilities[:, :4].argmax(1), np.int64)


def load_reference(bundle: ModelBundle, threads: int) -> Predictor:
    """The model's network under torch in float32 on the CPU, whatever else this machine has."""
    return Predictor(bundle, torch_engine.load_engine_on(bundle, "cpu", threads))


def load_engines(bundle: ModelBundle, threads: int) -> dict[EngineName, Predictor]:
    """Every engine that can run this model here; torch where it has a GPU, being the reference elsewhere.

    Raises:
        EngineError: one of them cannot load it.
    """
    names = [EngineName.OPENVINO]
    if bundle.has_int8:
        names.append(EngineName.OPENVINO_INT8)
    if torch_engine.has_gpu():
        names.append(EngineName.TORCH)
    return {name: load_predictor(bundle.folder, name, threads) for name in names}


def ask(predictor: Predictor, samples: Sequence[Sample]) -> Answers:
    """Read all samples and count."""
    reads, _ = read_samples(predictor, samples, f"reading with {predictor.engine_name}")
    predictions = answers(reads, predictor.bundle.calibration)
    probabilities = np.array([each.probabilities + each.classifier_probabilities for each in predictions])
    truth = np.array([sample.class_index for sample in samples])
    published = average_precision(reads, [published_truth(read) for read in reads])
    tumors = average_precision(reads, [tumor_truth(read) for read in reads])
    return Answers(
        probabilities,
        np.array([each.novelty for each in predictions]),
        float((probabilities[:, :4].argmax(1) == truth).mean()),
        AveragePrecision.mean(published.at_50),
        AveragePrecision.mean(tumors.at_50),
        AveragePrecision.mean(published.at_50_to_95),
    )


def measure_speed(
    predictors: Mapping[str, Predictor], images: Sequence[GreyImage], batch_size: int
) -> dict[str, list[float]]:
    """Images per second of each predictor in each round; the predictors take turns. Decoding is not in it."""
    speeds: dict[str, list[float]] = {name: [] for name in predictors}
    for predictor in predictors.values():
        predictor.detect(images[:batch_size], batch_size)  # the first batch of a size is slower
    for _ in range(ROUNDS):
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor.detect(images, batch_size)
            speeds[name].append(len(images) / (time.perf_counter() - start))
    return speeds


def ratio(speeds: Mapping[str, Sequence[float]], name: str) -> float:
    """Median over the rounds of an engine's speed by the reference's."""
    return median(ours / theirs for ours, theirs in zip(speeds[name], speeds[REFERENCE], strict=True))


def broken_limits(limits: Limits, ours: Answers, reference: Answers) -> tuple[str, ...]:
    """One sentence for each limit that is not kept."""
    # counted in images and in millionths, so that a value on the limit is within it
    same, difference = same_labels(ours, reference), probability_difference(ours, reference)
    losses = {"accuracy": (reference.accuracy, ours.accuracy, limits.max_accuracy_lost)}
    for name in ("map50", "map50_tumour"):
        losses[name] = (getattr(reference, name), getattr(ours, name), limits.max_map50_lost)
    found = [
        f"{name} fell by {before - after:.4f}, at most {limit} is allowed"
        for name, (before, after, limit) in losses.items()
        if limit is not None and before is not None and before - after > limit + 1e-9
    ]
    if limits.min_same_labels is not None and same < limits.min_same_labels:
        found.append(f"{same:.4f} of the labels are the same, at least {limits.min_same_labels} must be")
    if limits.max_probability_difference is not None and difference > limits.max_probability_difference:
        found.append(
            f"a probability differs by {difference:.2g}, at most {limits.max_probability_difference} is allowed"
        )
    novelty = novelty_difference(ours, reference)
    if limits.max_novelty_difference is not None and novelty > limits.max_novelty_difference:
        found.append(f"a novelty differs by {novelty:.2g}, at most {limits.max_novelty_difference} is allowed")
    return tuple(found)


def same_labels(ours: Answers, reference: Answers) -> float:
    """Share of images with the same label, 0..1."""
    return float((ours.labels == reference.labels).mean())


def probability_difference(ours: Answers, reference: Answers) -> float:
    """The largest difference of any probability of any image."""
    return float(np.abs(ours.probabilities - reference.probabilities).max())


def novelty_difference(ours: Answers, reference: Answers) -> float:
    """The largest difference of any image's distance to the training images."""
    return float(np.abs(ours.novelties - reference.novelties).max())


def processor() -> str:
    """The machine's, as OpenVINO names it, with the number types it computes in."""
    core = openvino_core()
    types = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    name = core.get_property("CPU", "FULL_DEVICE_NAME").strip()
    return f"{name} ({', '.join(sorted(set(types) & {'BF16', 'FP16', 'FP32', 'INT8'}))})"


def compare(folder: Path, samples: Sequence[Sample], threads: int = 0) -> EngineComparison:
    """Compare every engine with the reference, which is the first row.

    Raises:
        ModelFolderError, EngineError, DatasetError: the model or an image cannot be used.
    """
    bundle = ModelBundle.load(folder)
    engines = load_engines(bundle, threads)
    predictors = {REFERENCE: load_reference(bundle, threads), **{name.value: each for name, each in engines.items()}}
    limits = {REFERENCE: Limits(), **{name.value: LIMITS[name] for name in engines}}
    answered = {name: ask(predictor, samples) for name, predictor in predictors.items()}
    images = [read_grey(sample.image_path) for sample in samples[:: max(1, len(samples) // IMAGES_PER_ROUND)]]
    batched, single = (measure_speed(predictors, images[:IMAGES_PER_ROUND], size) for size in (BATCH_SIZE, 1))
    reference = answered[REFERENCE]
    rows = [
        ComparedEngine(
            name,
            ours.accuracy,
            ours.map50,
            ours.map50_tumour,
            ours.map,
            same_labels(ours, reference),
            probability_difference(ours, reference),
            novelty_difference(ours, reference),
            median(batched[name]),
            ratio(batched, name),
            ratio(single, name),
            broken_limits(limits[name], ours, reference),
        )
        for name, ours in answered.items()
    ]
    files = measured_files(read_manifest(folder).files)
    return EngineComparison(files, processor(), threads or os.cpu_count() or 1, len(samples), rows)


def _print_table(found: EngineComparison, version: str) -> None:
    title = f"{version} on {found.images} images of Val, {found.threads} threads of {found.processor}"
    table = Table(title=title)
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if place else "left")
    for row in table_rows(found.engines):
        table.add_row(*row)
    result_console().print(table)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.compare_engines`."""
    parser = argparse.ArgumentParser(prog="python -m trainer.compare_engines", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Val/")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--write", action="store_true", help=f"write {ENGINES} into the model folder, and its card")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when every engine keeps its limits, 1 when one does not, 2 when it cannot be measured."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_arguments(arguments)
    try:
        samples = list_samples(parsed.data, Split.VAL)
        found = compare(parsed.model, samples, parsed.threads)
        if parsed.write:
            found.write(parsed.model)
            write_model_card(parsed.model)
    except (DatasetError, ModelFolderError, EngineError) as error:
        print(f"trainer.compare_engines: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    if parsed.json:
        print(json.dumps(asdict(found), allow_nan=False))  # noqa: T201  the command line's own answer
    else:
        _print_table(found, parsed.model.name)
    for row in found.engines:
        for sentence in row.broken:
            logger.error("%s: %s", row.engine, sentence)
    return 1 if any(row.broken for row in found.engines) else 0


if __name__ == "__main__":
    sys.exit(main())
