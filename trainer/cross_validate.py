"""`python -m trainer.cross_validate`: grouped cross-validation of a recipe over Train and Val together.

Byte-identical repeats are left out, and look-alikes (`trainer.leakage`) always stand in the same fold, so no fold is
tested on a picture it has seen. Each fold trains in a run folder of its own, is calibrated on images held out of its
own training part, and answers its test images; the table pools the answers of all folds. Started again with the same
`--out`, it goes on where it was.
"""

import argparse
import csv
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from trainer.arguments import positive_integer
from trainer.calibrate import CalibrationError, fit_calibration
from trainer.evaluation_pictures import draw_pictures
from trainer.figure_records import Figures
from trainer.figure_table import print_figures
from trainer.fit import add_recipe_arguments, chosen_recipe, log_row, prepare_run, sentence_of
from trainer.labels import DatasetError, Split, list_samples
from trainer.leakage import PictureGroups, find_picture_groups
from trainer.loop import TrainingError
from trainer.measure import Answered, answer, figures
from trainer.parallel import Processes
from trainer.parts import Parts, samples_at, within_limit
from trainer.readings import read_samples
from trainer.recipes import Recipe
from trainer.run import TrainingRun
from trainer.run_folder import record_end
from trainer.runtime.bundle import write_json
from trainer.splits import Fold, first_of_each_file, grouped_folds
from trainer.uncalibrated import uncalibrated_predictor

logger = logging.getLogger("trainer.cross_validate")

FOLDS, RESULT = "folds.csv", "cross-validation.json"


@dataclass(frozen=True)
class Protocol:
    """How the figures came about; stands beside them in cross-validation.json."""

    recipe: str
    size: int
    epochs: int
    folds: int
    folds_answered: int
    seed: int
    images: int
    repeats_left_out: int
    groups: int
    largest_group: int
    flip_tta: bool = False


@dataclass(frozen=True)
class CrossValidation:
    """What is written and printed; figures as `trainer.measure.figures` has them.

    Attributes:
        protocol: how they came about.
        all_folds: of the pooled answers.
        folds: of each fold alone.
    """

    protocol: Protocol
    all_folds: Figures | None
    folds: list[Figures | None]

    def as_json(self) -> dict[str, object]:
        """What cross-validation.json holds."""
        return {
            "protocol": asdict(self.protocol),
            "all_folds": self.all_folds and self.all_folds.as_json(),
            "folds": [fold and fold.as_json() for fold in self.folds],
        }


def unique_rows(pictures: PictureGroups, limit: int | None) -> np.ndarray:
    """Rows `(n,)` of the pictures that take part: one of each file."""
    return within_limit(pictures, first_of_each_file(pictures, np.arange(len(pictures.samples))), limit)


def write_folds(path: Path, pictures: PictureGroups, folds: Sequence[Fold]) -> None:
    """Write down which fold tests which image: `split,name,sha256,group,fold`, folds from 1."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("split", "name", "sha256", "group", "fold"))
        for number, fold in enumerate(folds, start=1):
            for row in fold.test.tolist():
                sample = pictures.samples[row]
                writer.writerow((sample.split, sample.name, pictures.sha256[row], pictures.groups[row], number))


def train_fold(
    number: int, fold: Fold, pictures: PictureGroups, recipe: Recipe, arguments: argparse.Namespace, deadline: float
) -> TrainingRun:
    """Train one fold, or go on with it, until `deadline` (of `time.monotonic`, seconds).

    Raises:
        DatasetError, TrainingError: as `trainer.fit`.
    """
    parts = Parts(samples_at(pictures, fold.training), samples_at(pictures, fold.held_out), "")
    logger.info("fold %d of %d: %d to train on, %d to calibrate on, %d to test on",
                number, arguments.folds, len(fold.training), len(fold.held_out), len(fold.test))  # fmt: skip
    run = prepare_run(arguments.out / f"fold-{number}", recipe, parts, arguments, Processes())
    run.fit(log_row, deadline - time.monotonic())
    record_end(run)
    if not run.is_over:
        raise TrainingError(f"no time for the rest of fold {number}; the same command goes on with it.")
    return run


def answer_fold(run: TrainingRun, fold: Fold, pictures: PictureGroups, *, flip_tta: bool) -> list[Answered]:
    """Calibrate a trained fold on its held-out images and answer its test images, looking twice with `flip_tta`.

    Raises:
        CalibrationError: the held-out images do not allow a calibration.
    """
    recipe, device = run.recipe, run.context.device
    weights = run.best_model.state_dict()
    predictor = uncalibrated_predictor(run.folder, weights, recipe.size, recipe.cut_to_head, device, flip_tta=flip_tta)
    held_out, _ = read_samples(predictor, samples_at(pictures, fold.held_out), "reading the held-out images")
    calibration = fit_calibration(held_out, boxes=run.recipe.boxes)
    test, _ = read_samples(predictor, samples_at(pictures, fold.test), "reading the test images")
    return answer(test, calibration)


def cross_validate(arguments: argparse.Namespace) -> CrossValidation:
    """Train, answer and measure every fold, then all of them together.

    Raises:
        DatasetError: the data or the starting weights are not usable.
        TrainingError: a fold cannot be trained, or its folder holds another run.
        CalibrationError: a fold's held-out images do not allow a calibration.
    """
    recipe = replace(chosen_recipe(arguments), leak_filter=True)
    samples = [*list_samples(arguments.data, Split.TRAIN), *list_samples(arguments.data, Split.VAL)]
    pictures = find_picture_groups(samples)
    rows = unique_rows(pictures, arguments.limit)
    folds = list(grouped_folds(pictures, rows, arguments.folds, recipe.held_out_share, arguments.seed))
    deadline = time.monotonic() + 60 * arguments.minutes if arguments.minutes else float("inf")
    answered: list[list[Answered]] = []
    to_answer = folds[: arguments.first]
    for number, fold in enumerate(to_answer, start=1):
        run = train_fold(number, fold, pictures, recipe, arguments, deadline)
        answered.append(answer_fold(run, fold, pictures, flip_tta=arguments.flip_tta))
    _, group_sizes = np.unique(pictures.groups[rows], return_counts=True)
    protocol = Protocol(
        recipe.name, recipe.size, recipe.epochs, len(folds), len(answered), arguments.seed,
        len(rows), len(samples) - len(rows), len(group_sizes), int(group_sizes.max()), arguments.flip_tta,
    )  # fmt: skip
    pooled = [each for fold in answered for each in fold]
    groups = [pictures.groups[fold.test] for fold in to_answer]
    of_each = [figures(fold, groups=own) for fold, own in zip(answered, groups, strict=True)]
    found = CrossValidation(protocol, figures(pooled, groups=np.concatenate(groups)), of_each)
    write_folds(arguments.out / FOLDS, pictures, folds)
    write_json(arguments.out / RESULT, found.as_json())
    draw_pictures(pooled, arguments.out)
    return found


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.cross_validate`."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.cross_validate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_recipe_arguments(parser)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--first", type=positive_integer, help="train this many of the folds only, for trials")
    parser.add_argument("--out", type=Path, default=Path("runs/cross-validation"), help="gone on with when it exists")
    parser.add_argument("--flip-tta", action="store_true", help="look at every image twice; answers trained folds anew")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parsed = parser.parse_args(arguments)
    if parsed.folds < 3:
        parser.error("--folds is at least 3")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when every fold is measured, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_arguments(arguments)
    try:
        found = cross_validate(parsed)
    except (DatasetError, TrainingError, CalibrationError, OSError, MemoryError, RuntimeError) as error:
        print(f"trainer.cross_validate: {sentence_of(error)}", file=sys.stderr)  # noqa: T201  the command's own answer
        return 2
    if parsed.json:
        print(json.dumps(found.as_json(), allow_nan=False))  # noqa: T201  the command line's own answer
    else:
        columns = {"all folds": found.all_folds} | {f"fold {n}": fold for n, fold in enumerate(found.folds, start=1)}
        print_figures(f"{found.protocol.folds_answered} of {parsed.folds} folds of whole look-alike groups", columns)
    logger.info("written to %s", parsed.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
