"""`python -m trainer.evaluate`: how good a model folder is on Val, and on the Val images without a look-alike in Train.

docs/data.md says what every figure means. `--engine openvino` needs no torch.
"""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track
from rich.table import Table

from trainer.average_precision import AveragePrecision, average_precision, published_truth, tumor_truth
from trainer.labels import DatasetError, Sample, Split, list_samples
from trainer.leakage import HashArray, looks_like_any, perceptual_hashes
from trainer.model_card import write_model_card
from trainer.readings import STDERR, ReadSample, answers, read_samples
from trainer.runtime.bundle import METRICS, TRAINING_FILES, ModelFolderError, write_json
from trainer.runtime.decision import Calibration, classifier_disagrees, is_urgent, low_margin
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, Predictor, load_predictor
from trainer.runtime.records import CLASSES, LESION_CLASSES, NO_TUMOR_INDEX
from trainer.scores import class_scores, confusion_matrix, expected_calibration_error, wilson_interval

logger = logging.getLogger("trainer.evaluate")

Figures = dict[str, object]


@dataclass(frozen=True)
class LookAlikes:
    """Where Val and Train show the same picture.

    Attributes:
        clean: for each Val image `(n,)`: no image of Train looks like it.
        trained_on: how many images the model was trained on look like a Val image; 0 is the leak-free protocol.
    """

    clean: npt.NDArray[np.bool_]
    trained_on: int


def _hashes(samples: Sequence[Sample], title: str) -> HashArray:
    chunks = [samples[start : start + 64] for start in range(0, len(samples), 64)]
    hashed = [
        perceptual_hashes([s.image_path for s in chunk])
        for chunk in track(chunks, title, console=STDERR, transient=True)
    ]
    return np.concatenate(hashed)


def find_look_alikes(val: Sequence[Sample], train: Sequence[Sample], model: Path) -> LookAlikes:
    """Compare Val with Train by perceptual hash (`trainer.leakage`), mirror images counted."""
    val_hashes, train_hashes = _hashes(val, "comparing Val"), _hashes(train, "with Train")
    with (model / TRAINING_FILES).open(newline="") as file:
        trained = {row["name"] for row in csv.DictReader(file)}
    was_trained_on = np.array([sample.name in trained for sample in train])
    leaky = looks_like_any(train_hashes[was_trained_on], val_hashes)
    return LookAlikes(~looks_like_any(val_hashes, train_hashes), int(leaky.sum()))


def class_figures(reads: Sequence[ReadSample], calibration: Calibration) -> tuple[Figures, dict[str, Figures]]:
    """Accuracy, calibration and triage of the fused answers, over all classes; precision, recall and F1 of each."""
    predictions = answers(reads, calibration)
    truth = np.array([read.sample.class_index for read in reads], np.int64)
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    second_opinion = np.array([prediction.classifier_probabilities for prediction in predictions]).argmax(1)
    given = probabilities.argmax(1)
    confusion = confusion_matrix(truth, given, len(CLASSES))
    right = int((given == truth).sum())
    urgent = np.array([is_urgent(prediction, calibration) for prediction in predictions])
    tumor = truth != NO_TUMOR_INDEX
    caught, spared = int((urgent & tumor).sum()), int((~urgent & ~tumor).sum())
    each = {label.value: asdict(scores) for label, scores in zip(CLASSES, class_scores(confusion), strict=True)}
    over_all: Figures = {
        "images": len(reads),
        "accuracy": right / len(reads),
        "accuracy_ci95": wilson_interval(right, len(reads)),
        "classifier_accuracy": float((second_opinion == truth).mean()),
        "classes": list(CLASSES),
        "confusion_matrix": confusion.tolist(),
        "ece": expected_calibration_error(probabilities, truth),
        "urgent_threshold": calibration.urgent_threshold,
        "sensitivity": caught / max(1, int(tumor.sum())),
        "sensitivity_ci95": wilson_interval(caught, int(tumor.sum())),
        "specificity": spared / max(1, int((~tumor).sum())),
        "specificity_ci95": wilson_interval(spared, int((~tumor).sum())),
        "low_margin_share": float(np.mean([low_margin(p.probabilities, calibration) for p in predictions])),
        "disagreement_share": float(np.mean([classifier_disagrees(p, calibration) for p in predictions])),
    }
    return over_all, each


def box_figures(reads: Sequence[ReadSample]) -> tuple[Figures, dict[str, Figures]]:
    """Average precision over all classes, and of each: as published (`map50`, `map`), and of the tumours alone."""
    published = average_precision(reads, [published_truth(read) for read in reads])
    tumors = average_precision(reads, [tumor_truth(read) for read in reads])
    columns = {
        "map50": published.at_50,
        "map": published.at_50_to_95,
        "map50_tumour": tumors.at_50,
        "map_tumour": tumors.at_50_to_95,
    }
    over_all: Figures = {name: AveragePrecision.mean(values) for name, values in columns.items()}
    each: dict[str, Figures] = {label: dict.fromkeys(columns) for label in CLASSES}
    for index, label in enumerate(LESION_CLASSES):
        each[label] = {name: values[index] for name, values in columns.items()}
    return over_all, each


def figures(reads: Sequence[ReadSample], calibration: Calibration) -> Figures | None:
    """Everything measured on some images; `None` when there are none."""
    if not reads:
        return None
    over_all, each = class_figures(reads, calibration)
    boxes_over_all, boxes_each = box_figures(reads)
    return over_all | boxes_over_all | {"per_class": {label: each[label] | boxes_each[label] for label in CLASSES}}


def first_of_each_class(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` samples of every class."""
    taken = dict.fromkeys(CLASSES, 0)
    kept = []
    for sample in samples:
        taken[sample.tumor_class] += 1
        if limit is None or taken[sample.tumor_class] <= limit:
            kept.append(sample)
    return kept


def evaluate(predictor: Predictor, data: Path, limit: int | None = None) -> Figures:
    """Measure a model on DIR/Val; `val_clean` is `None` where DIR holds no Train to compare with.

    Raises:
        DatasetError: DIR/Val is missing or empty, or an image cannot be read.
    """
    bundle = predictor.bundle
    samples = first_of_each_class(list_samples(data, Split.VAL), limit)
    reads, seconds = read_samples(predictor, samples, "reading Val")
    look_alikes = None
    if (data / Split.TRAIN).is_dir():
        look_alikes = find_look_alikes(samples, list_samples(data, Split.TRAIN), bundle.folder)
    clean = [read for read, keep in zip(reads, look_alikes.clean, strict=True) if keep] if look_alikes else []
    return {
        "model": bundle.version,
        "weights_sha256": bundle.weights_sha256,
        "engine": predictor.engine_name,
        "images_per_second": len(reads) / seconds,
        "trained_look_alikes_of_val": look_alikes.trained_on if look_alikes else None,
        "val": figures(reads, bundle.calibration),
        "val_clean": figures(clean, bundle.calibration),
    }


def _print_table(found: Figures) -> None:
    table = Table(title=f"{found['model']} on Val ({found['engine']})")
    for heading in ("figure", "all of Val", "without look-alikes in Train"):
        table.add_column(heading)
    columns = [part if isinstance(part, dict) else {} for part in (found["val"], found["val_clean"])]
    for name in ("images", "accuracy", "sensitivity", "specificity", "map50", "map50_tumour", "map_tumour", "ece"):
        values = [column.get(name) for column in columns]
        table.add_row(name, *(f"{value:.4g}" if isinstance(value, float | int) else "-" for value in values))
    STDERR.print(table)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.evaluate`."""
    parser = argparse.ArgumentParser(prog="python -m trainer.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--engine", choices=("openvino", "torch"), default="openvino")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--write", action="store_true", help="write metrics.json and MODEL_CARD.md into the model folder"
    )
    parser.add_argument("--limit", type=int, help="at most this many Val images of each class, for trials")
    parsed = parser.parse_args(arguments)
    if parsed.write and parsed.limit is not None:
        parser.error("--limit is for trials: figures of a part of Val are not written into a model folder")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when measured, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_arguments(arguments)
    try:
        predictor = load_predictor(parsed.model, EngineName(parsed.engine), parsed.threads)
        found = evaluate(predictor, parsed.data, parsed.limit)
    except (DatasetError, ModelFolderError, EngineError) as error:
        print(f"trainer.evaluate: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    if parsed.write:
        write_json(parsed.model / METRICS, found)
        write_model_card(parsed.model)
    if parsed.json:
        print(json.dumps(found, allow_nan=False))  # noqa: T201  the command line's own answer
    else:
        _print_table(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
