"""`python -m trainer.evaluate`: how good a model folder is on Val, and on the part of Val unlike what it has seen.

docs/evaluation.md says what every figure means. `--engine openvino` needs no torch.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from trainer.card_figures import columns_of
from trainer.evaluation_pictures import PICTURES, draw_pictures
from trainer.figure_records import Figures
from trainer.figure_table import print_figures
from trainer.intervals import BoolArray
from trainer.labels import DatasetError, Split, first_of_each_class, list_samples
from trainer.leakage import PictureGroups, find_picture_groups, looks_like_any
from trainer.measure import Answered, answer, figures
from trainer.metrics import Metrics
from trainer.model_card import FIGURES, OtherTables, model_card
from trainer.readings import read_samples
from trainer.runtime.bundle import (
    MODEL_CARD,
    TRAINING_FILES,
    ListedFile,
    ModelFolderError,
    Protocol,
    read_file_list,
    write_whole,
)
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, Predictor, load_predictor

logger = logging.getLogger("trainer.evaluate")


@dataclass(frozen=True)
class LookAlikes:
    """Where Val and Train show the same picture.

    Attributes:
        clean: for each Val image `(n,)`: no image of Train looks like it.
        unseen: for each Val image `(n,)`: no image the model was trained on looks like it, of those that were found.
        trained_on: how many of those look like a Val image.
        not_found: how many images the model was trained on are not in Train, by name and sum.
    """

    clean: BoolArray
    unseen: BoolArray
    trained_on: int
    not_found: int

    @property
    def protocol(self) -> Protocol:
        """What figures of all of Val are worth: what was not found may look like anything."""
        if self.not_found:
            return Protocol.UNCHECKED
        return Protocol.LEAKY if self.trained_on else Protocol.LEAK_FREE


@dataclass(frozen=True)
class Evaluation:
    """What metrics.json holds, and the answers it was counted from."""

    metrics: Metrics
    answered: Sequence[Answered]


def find_look_alikes(pictures: PictureGroups, trained: Sequence[ListedFile]) -> LookAlikes:
    """Compare Val with Train by perceptual hash (`trainer.leakage`), mirror images counted.

    Args:
        pictures: images of Val and all of Train.
        trained: what the model says it was trained on; an image of Train is that only with the same name and sum.
    """
    listed = set(trained)
    in_val = np.array([sample.split is Split.VAL for sample in pictures.samples], np.bool_)
    found = np.array(
        [
            sample.split is Split.TRAIN and ListedFile(sample.name, sha256) in listed
            for sample, sha256 in zip(pictures.samples, pictures.sha256, strict=True)
        ],
        np.bool_,
    )
    val_hashes, trained_hashes = pictures.hashes[in_val], pictures.hashes[found]
    return LookAlikes(
        clean=~looks_like_any(val_hashes, pictures.hashes[~in_val]),
        unseen=~looks_like_any(val_hashes, trained_hashes),
        trained_on=int(looks_like_any(trained_hashes, val_hashes).sum()),
        not_found=len(listed) - int(found.sum()),
    )


def evaluate(predictor: Predictor, data: Path, limit: int | None = None) -> Evaluation:
    """Measure a model on DIR/Val, and compare Val with DIR/Train where that is there.

    Raises:
        DatasetError: DIR/Val is missing or empty, or an image cannot be read.
        ModelFolderError: the list of the images it was trained on is broken.
    """
    bundle = predictor.bundle
    samples = first_of_each_class(list_samples(data, Split.VAL), limit)
    trained = read_file_list(bundle.folder / TRAINING_FILES)
    reads, seconds = read_samples(predictor, samples, "reading Val")
    answered = answer(reads, bundle.calibration)
    train = list_samples(data, Split.TRAIN) if (data / Split.TRAIN).is_dir() else []
    # images of Val that a chain of look-alikes in Train connects are one group, as `trainer.audit` has it
    pictures = find_picture_groups([*samples, *train])
    groups = pictures.groups[: len(samples)]
    look_alikes = find_look_alikes(pictures, trained) if train else None
    val = figures(answered, groups=groups)
    if val is None:
        raise DatasetError(f"{data / Split.VAL} holds no image to measure.")

    def part(keep: BoolArray) -> Figures | None:
        if keep.all():
            return val
        return figures([answered[row] for row in np.flatnonzero(keep)], groups=groups[keep])

    protocol = Protocol.UNCHECKED if look_alikes is None else look_alikes.protocol
    metrics = Metrics(
        model=bundle.version,
        weights_sha256=bundle.weights_sha256,
        calibration_sha256=bundle.calibration_sha256,
        engine=predictor.engine_name,
        images_per_second=len(reads) / seconds,
        protocol=protocol,
        trained_look_alikes_of_val=None if look_alikes is None else look_alikes.trained_on,
        training_files_not_found=len(trained) if look_alikes is None else look_alikes.not_found,
        val=val,
        val_unseen=None if look_alikes is None or protocol is Protocol.UNCHECKED else part(look_alikes.unseen),
        val_clean=None if look_alikes is None else part(look_alikes.clean),
    )
    return Evaluation(metrics, answered)


def publish(evaluation: Evaluation, tables: OtherTables, folder: Path) -> None:
    """Write metrics.json, figures/ and MODEL_CARD.md into a model folder; nothing when one of them cannot be made.

    Raises:
        ModelFolderError: the folder was changed meanwhile.
        DatasetError: an image cannot be read any more.
    """
    card = model_card(folder, evaluation.metrics, tables, PICTURES)
    with TemporaryDirectory(prefix=".figures-", dir=folder) as drawn:
        draw_pictures(evaluation.answered, Path(drawn))
        (folder / FIGURES).mkdir(exist_ok=True)
        for name in PICTURES:
            (Path(drawn) / name).replace(folder / FIGURES / name)
    evaluation.metrics.write(folder)
    write_whole(folder / MODEL_CARD, card)


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
        tables = OtherTables.read(parsed.model)  # a broken one is told before minutes of measuring
        evaluation = evaluate(predictor, parsed.data, parsed.limit)
        if parsed.pictures:
            draw_pictures(evaluation.answered, parsed.pictures)
        if parsed.write:
            publish(evaluation, tables, parsed.model)
    except (DatasetError, ModelFolderError, EngineError) as error:
        print(f"trainer.evaluate: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    metrics = evaluation.metrics
    if parsed.json:
        print(json.dumps(metrics.as_json(), allow_nan=False))  # noqa: T201  the command line's own answer
    else:
        print_figures(
            f"{metrics.model} ({metrics.engine})",
            {f"{column.title}: {column.protocol}": column.figures for column in columns_of(metrics)},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
