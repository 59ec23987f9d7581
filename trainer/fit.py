"""`python -m trainer.fit`: train a model from the data set's folders into a run folder.

Started again with the same `--run` it goes on after the last whole epoch. On several GPUs:
`torchrun --nproc-per-node 4 -m trainer.fit --run-folder runs/NAME ...`.
"""

import argparse
import errno
import logging
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from trainer.arguments import positive_integer, positive_number, seed_number
from trainer.calibrate import CalibrationError
from trainer.counterfactual import make_counterfactuals
from trainer.dataset import BrainTumorDataset, BrainTumorTestDataset
from trainer.figures import draw_samples
from trainer.final_test import is_tested, test_on_val
from trainer.labels import DatasetError, Split, list_samples
from trainer.looks import look_groups
from trainer.loop import TrainingError
from trainer.memory import is_out_of_memory
from trainer.model import BrainTumorClassifier, load_start_weights
from trainer.parallel import Processes, joined_processes
from trainer.parts import Parts, choose_parts
from trainer.recipes import INGREDIENTS, RECIPES, Recipe
from trainer.run import TrainingRun
from trainer.run_folder import (
    RunRecords,
    check_start_weights,
    held_out_before,
    is_begun,
    record_end,
    start_weights,
    write_records,
)

logger = logging.getLogger("trainer.fit")

CACHE_MARGIN = 4 / 3
"""Images are kept in memory a third larger than the network's input: lesions are taken out and set in at that size."""

DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""No space, quota spent, a disk that fails: nothing is wrong with the command, nor with what is written so far."""


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose a recipe and change it, shared by `trainer.fit` and `trainer.cross_validate`."""
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="default")
    parser.add_argument(
        "--weights",
        type=Path,
        help="ImageNet ResNet-50 weights, or model.safetensors of another run to go on from (default: torchvision's)",
    )
    parser.add_argument("--scratch", action="store_true", help="start from random weights, for trials")
    parser.add_argument("--size", type=positive_integer, help="side of the network input, a multiple of 32")
    parser.add_argument("--epochs", type=positive_integer)
    parser.add_argument("--batch-size", type=positive_integer, help="images a step, of all processes together")
    parser.add_argument(
        "--rate-scale", type=positive_number, default=1.0, help="multiplies the recipe's learning rates"
    )
    parser.add_argument(
        "--without",
        choices=sorted(INGREDIENTS),
        nargs="+",
        default=[],
        help="leave ingredients of the recipe out, to see what they are good for",
    )
    parser.add_argument("--limit", type=positive_integer, help="at most this many images of each class, for trials")
    parser.add_argument(
        "--seed", type=seed_number, default=1, help="of the division of Train, the order and the augmentation"
    )
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the network (benchmarks/training_step.py)"
    )
    parser.add_argument(
        "--minutes", type=positive_number, help="begin no epoch that would end later; the same command goes on"
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.fit`."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.fit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_recipe_arguments(parser)
    parser.add_argument(
        "--run",
        "--run-folder",  # torchrun takes "--run" for a short form of options of its own
        type=Path,
        dest="run",
        help="run folder, resumed when it has a checkpoint (default runs/RECIPE)",
    )
    parser.add_argument("--published-split", action="store_true", help="leave look-alikes of Val in, for comparison")
    return parser.parse_args(arguments)


def chosen_recipe(arguments: argparse.Namespace) -> Recipe:
    """The named recipe with the command line's changes.

    Raises:
        TrainingError: the size is not a multiple of 32.
    """
    recipe = RECIPES[arguments.recipe]
    changes = {name: getattr(arguments, name) for name in ("size", "epochs", "batch_size")}
    recipe = replace(
        recipe,
        body_rate=recipe.body_rate * arguments.rate_scale,
        head_rate=recipe.head_rate * arguments.rate_scale,
        **{name: value for name, value in changes.items() if value is not None},
    )
    for ingredient in arguments.without:
        recipe = INGREDIENTS[ingredient](recipe)
    if recipe.size % 32:
        raise TrainingError(f"--size {recipe.size} is not a multiple of 32.")
    return recipe


def log_row(row: dict[str, float]) -> None:
    """One line an epoch."""
    logger.info(
        "epoch %d: training loss %.4f accuracy %.4f, held-out loss %.4f accuracy %.4f",
        row["epoch"],
        row["train_loss"],
        row["train_accuracy"],
        row["validation_loss"],
        row["validation_accuracy"],
    )


def begin_deterministically(seed: int) -> None:
    """Seed torch and choose algorithms that give the same numbers every time on one device, where there are any.

    An operation without one only warns: a slightly different run is better than none
    (https://docs.pytorch.org/docs/stable/notes/randomness.html).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time
    torch.manual_seed(seed)


def prepare_run(
    folder: Path, recipe: Recipe, parts: Parts, arguments: argparse.Namespace, processes: Processes
) -> TrainingRun:
    """A run on these parts, resumed where the folder holds its checkpoint.

    Nothing is written before everything that can refuse has been asked.

    Raises:
        DatasetError: an image or the starting weights are not usable.
        TrainingError: training cannot start, or the folder holds another run.
    """
    records = RunRecords.of(recipe, arguments.seed, parts, processes)
    begun = is_begun(folder, records)
    processes.wait()
    begin_deterministically(arguments.seed)
    model = BrainTumorClassifier(dropout=recipe.dropout, boxes=recipe.boxes)
    if not begun and not arguments.scratch and load_start_weights(model, arguments.weights):
        check_start_weights(arguments.weights, records)
    training = BrainTumorDataset(parts.training, round(recipe.size * CACHE_MARGIN / 32) * 32, recipe.cut_to_head)
    if recipe.balanced_looks:
        training.groups = look_groups(training.images, training.class_indices)
    if recipe.counterfactual_share and (made := make_counterfactuals(training, arguments.seed)):
        training.add_made(made.images, made.targets, made.weights)
        logger.info("%s", made.summary)
    held_out = BrainTumorTestDataset(parts.held_out, recipe.size, recipe.cut_to_head)
    run = TrainingRun(folder, recipe, model, training, held_out, arguments.seed, processes)
    if arguments.compile:
        run.model.compile()
    if begun:
        run.resume()
    elif processes.is_first:
        write_records(folder, records, start_weights(arguments.weights, arguments.scratch))
        draw_samples(parts.training, folder / "training-samples.png")
    processes.wait()
    return run


def fit(arguments: argparse.Namespace, processes: Processes) -> Path:
    """Run the training the command line asks for; returns the run folder.

    Raises:
        DatasetError: the data or the starting weights are not usable.
        TrainingError: training cannot start or go on, or the folder holds another run.
    """
    recipe = chosen_recipe(arguments)
    if arguments.published_split:
        recipe = replace(recipe, leak_filter=False)
    parts = choose_parts(arguments.data, recipe, arguments.seed, arguments.limit, held_out_before(arguments.weights))
    val = list_samples(arguments.data, Split.VAL)
    logger.info("%s", parts.summary)
    run = prepare_run(arguments.run or Path("runs") / recipe.name, recipe, parts, arguments, processes)
    run.fit(log_row, 60 * (arguments.minutes or math.inf))
    record_end(run)
    if is_tested(run):
        logger.info("%s is finished and tested", run.folder)
        return run.folder
    tested = test_on_val(run, val)
    logger.info("Val: loss %.4f, accuracy %.4f", tested["test_loss"], tested["test_accuracy"])
    return run.folder


def sentence_of(error: Exception) -> str:
    """What went wrong and what to do, in a sentence; a bug is raised again.

    Raises:
        Exception: `error` itself, where it is neither of ours, nor a full memory or disk.
    """
    if isinstance(error, DatasetError | TrainingError | CalibrationError):
        return str(error)
    if is_out_of_memory(error):
        return (
            "the memory is full: end other programs, and the same command goes on; or take a smaller --batch-size or "
            "--size, which is another recipe and, once an epoch is done, needs another run folder."
        )
    if isinstance(error, OSError) and error.errno is not None:
        what = f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"
        if error.errno in DISK_TROUBLE:
            return f"{what}: once the disk takes files again, the same command goes on after the last whole epoch."
        return f"{what}: see to that file or folder, or name another."
    raise error


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the model is written, 2 with one sentence when it cannot be."""
    parsed = parse_arguments(arguments)
    with joined_processes() as processes:
        level = logging.INFO if processes.is_first else logging.ERROR
        logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        try:
            folder = fit(parsed, processes)
        except (DatasetError, TrainingError, OSError, MemoryError, RuntimeError) as error:
            print(f"trainer.fit: {sentence_of(error)}", file=sys.stderr)  # noqa: T201  the command line's own answer
            return 2
    logger.info("written to %s; next: python -m trainer.export --run %s", folder, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
