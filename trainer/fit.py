"""`python -m trainer.fit`: train a model from the data set's folders into a run folder."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from trainer.dataset import BrainTumorDataset, BrainTumorTestDataset
from trainer.figures import draw_samples
from trainer.labels import DatasetError
from trainer.loop import TrainingError
from trainer.model import BrainTumorClassifier, load_imagenet
from trainer.parts import choose_parts
from trainer.recipes import RECIPES, Recipe
from trainer.run import TrainingRun
from trainer.run_folder import RunRecords, is_begun, start_weights, write_records

logger = logging.getLogger("trainer.fit")

CACHE_MARGIN = 4 / 3
"""Images are kept in memory a third larger than the network's input, so that magnifying finds detail."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.fit`."""
    parser = argparse.ArgumentParser(prog="python -m trainer.fit", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="default")
    parser.add_argument("--run", type=Path, help="run folder, resumed when it has a checkpoint (default runs/RECIPE)")
    parser.add_argument("--weights", type=Path, help="ImageNet ResNet-50 weights, safetensors (default: torchvision)")
    parser.add_argument("--scratch", action="store_true", help="start from random weights, for trials")
    parser.add_argument("--size", type=int, help="side of the network input, a multiple of 32")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--limit", type=int, help="at most this many images of each class, for trials")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def chosen_recipe(arguments: argparse.Namespace) -> Recipe:
    """The named recipe with the command line's changes.

    Raises:
        TrainingError: the size is not a multiple of 32.
    """
    changes = {name: getattr(arguments, name) for name in ("size", "epochs", "batch_size")}
    recipe = replace(RECIPES[arguments.recipe], **{name: value for name, value in changes.items() if value})
    if recipe.size % 32:
        raise TrainingError(f"--size {recipe.size} is not a multiple of 32.")
    return recipe


def _log_row(row: dict[str, float]) -> None:
    logger.info(
        "epoch %d: training loss %.4f accuracy %.4f, held-out loss %.4f accuracy %.4f",
        row["epoch"],
        row["train_loss"],
        row["train_accuracy"],
        row["validation_loss"],
        row["validation_accuracy"],
    )


def fit(arguments: argparse.Namespace) -> Path:
    """Run the training the command line asks for; returns the run folder.

    Nothing is written before everything that can refuse has been asked.

    Raises:
        DatasetError: the data or the starting weights are not usable.
        TrainingError: training cannot start, or the folder holds another run.
    """
    recipe = chosen_recipe(arguments)
    folder: Path = arguments.run or Path("runs") / recipe.name
    parts = choose_parts(arguments.data, recipe, arguments.seed, arguments.limit)
    logger.info("%s", parts.summary)
    records = RunRecords.of(recipe, arguments.seed, parts)
    begun = is_begun(folder, records)
    torch.manual_seed(arguments.seed)
    model = BrainTumorClassifier()
    if not begun and not arguments.scratch:
        load_imagenet(model, arguments.weights)
    training = BrainTumorDataset(parts.training, round(recipe.size * CACHE_MARGIN / 32) * 32)
    held_out = BrainTumorTestDataset(parts.held_out, recipe.size)
    run = TrainingRun(folder, recipe, model, training, held_out, arguments.seed)
    if begun:
        run.resume()
    else:
        write_records(folder, records, start_weights(arguments.weights, arguments.scratch))
        spread = range(0, len(training), max(1, len(training) // 24))
        draw_samples(training, list(spread)[:24], folder / "training-samples.png")
    run.fit(_log_row)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the model is written, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        folder = fit(parse_arguments(arguments))
    except (DatasetError, TrainingError) as error:
        print(f"trainer.fit: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    logger.info("written to %s; next: python -m trainer.export --run %s", folder, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
