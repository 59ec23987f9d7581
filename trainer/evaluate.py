"""`python -m trainer.evaluate`: how good a model folder is on Val, and on the Val images without a look-alike in Train.

docs/evaluation.md says what every figure means. `--engine openvino` needs no torch.
"""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from trainer.evaluation_pictures import PICTURES, draw_pictures
from trainer.figure_table import print_figures
from trainer.labels import DatasetError, Sample, Split, list_samples
from trainer.leakage import HashArray, looks_like_any, perceptual_hashes
from trainer.measure import Answered, Figures, answer, figures
from trainer.model_card import FIGURES, write_model_card
from trainer.readings import STDERR, read_samples
from trainer.runtime.bundle import METRICS, TRAINING_FILES, ModelFolderError, write_json
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, Predictor, load_predictor
from trainer.runtime.records import CLASSES

logger = logging.getLogger("trainer.evaluate")


@dataclass(frozen=True)
class LookAlikes:
    """Where Val and Train show the same picture.

    Attributes:
        clean: for each Val image `(n,)`: no image of Train looks like it.
        trained_on: how many images the model was trained on look like a Val image; 0 is the leak-free protocol.
    """

    clean: npt.NDArray[np.bool_]
    trained_on: int


class Protocol(StrEnum):
    """Whether the model was trained on images that look like those it is measured on."""

    LEAK_FREE = "leak-free"
    LEAKY = "published (leaky)"
    UNCHECKED = "unchecked"

    @classmethod
    def of(cls, look_alikes: LookAlikes | None) -> "Protocol":
        """Judge; `None`: there was no Train to look at."""
        if look_alikes is None:
            return cls.UNCHECKED
        return cls.LEAKY if look_alikes.trained_on else cls.LEAK_FREE


@dataclass(frozen=True)
class Evaluation:
    """What metrics.json holds, and the answers it was counted from."""

    figures: Figures
    answered: Sequence[Answered]


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


def first_of_each_class(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` samples of every class."""
    taken = dict.fromkeys(CLASSES, 0)
    kept = []
    for sample in samples:
        taken[sample.tumor_class] += 1
        if limit is None or taken[sample.tumor_class] <= limit:
            kept.append(sample)
    return kept


def evaluate(predictor: Predictor, data: Path, limit: int | None = None) -> Evaluation:
    """Measure a model on DIR/Val; `val_clean` is `None` where DIR holds no Train to compare with.

    Raises:
        DatasetError: DIR/Val is missing or empty, or an image cannot be read.
    """
    bundle = predictor.bundle
    samples = first_of_each_class(list_samples(data, Split.VAL), limit)
    reads, seconds = read_samples(predictor, samples, "reading Val")
    answered = answer(reads, bundle.calibration)
    look_alikes = None
    if (data / Split.TRAIN).is_dir():
        look_alikes = find_look_alikes(samples, list_samples(data, Split.TRAIN), bundle.folder)
    clean = [each for each, keep in zip(answered, look_alikes.clean, strict=True) if keep] if look_alikes else []
    found: Figures = {
        "model": bundle.version,
        "weights_sha256": bundle.weights_sha256,
        "engine": predictor.engine_name,
        "images_per_second": len(reads) / seconds,
        "protocol": Protocol.of(look_alikes),
        "trained_look_alikes_of_val": look_alikes.trained_on if look_alikes else None,
        "val": figures(answered),
        "val_clean": figures(clean),
    }
    return Evaluation(found, answered)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.evaluate`."""
    parser = argparse.ArgumentParser(prog="python -m trainer.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--engine", type=EngineName, choices=list(EngineName), default=EngineName.OPENVINO)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help=f"write {' and '.join(PICTURES)} there")
    parser.add_argument(
        "--write", action="store_true", help="write metrics.json, figures/ and MODEL_CARD.md into the model folder"
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
        predictor = load_predictor(parsed.model, parsed.engine, parsed.threads)
        evaluation = evaluate(predictor, parsed.data, parsed.limit)
        if parsed.pictures:
            draw_pictures(evaluation.answered, parsed.pictures)
        if parsed.write:
            draw_pictures(evaluation.answered, parsed.model / FIGURES)
    except (DatasetError, ModelFolderError, EngineError) as error:
        print(f"trainer.evaluate: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    if parsed.write:
        write_json(parsed.model / METRICS, evaluation.figures)
        write_model_card(parsed.model)
    if parsed.json:
        print(json.dumps(evaluation.figures, allow_nan=False))  # noqa: T201  the command line's own answer
    else:
        found = evaluation.figures
        print_figures(
            f"{found['model']} on Val ({found['engine']}), protocol: {found['protocol']}",
            {"all of Val": found["val"], "without look-alikes in Train": found["val_clean"]},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
