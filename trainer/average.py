"""`python -m trainer.average`: the mean of the weights of several runs, as a run folder of its own.

Runs that went on from one network at the same size, on the same images, often lie in one valley, and their mean is as
good as the better of them in most respects ("model soups", https://arxiv.org/abs/2203.05482), at no cost when reading.
"""

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.arguments import positive_number
from trainer.run import WEIGHTS
from trainer.run_folder import RECIPE
from trainer.run_record import Ingredient, RunRecord, RunRecordError
from trainer.runtime.bundle import HELD_OUT_FILES, MANIFEST, TRAINING_FILES, file_sha256, write_json

logger = logging.getLogger("trainer.average")

MUST_AGREE = ("size", "cut_to_head", "boxes", "leak_filter")
"""Of the recipes: what the network is shown, and what it is."""


class AverageError(Exception):
    """The weights cannot be averaged; the message says why."""


@dataclass(frozen=True)
class Trained:
    """Weights and what stands beside them, in a run folder or a model folder."""

    weights: Path
    recipe: dict[str, object]
    record: RunRecord

    @classmethod
    def read(cls, weights: Path) -> "Trained":
        """Read what stands beside a `model.safetensors`.

        Raises:
            AverageError: nothing says what the weights were trained on and how.
        """
        folder = weights.parent
        try:
            in_run, in_model = folder / RECIPE, folder / MANIFEST
            recipe = json.loads(in_run.read_text()) if in_run.is_file() else json.loads(in_model.read_text())["recipe"]
            record = RunRecord.read(folder)
        except (OSError, ValueError, KeyError, RunRecordError) as error:
            raise AverageError(f"{folder} is neither a run nor a model folder: {error}.") from error
        if record is None:
            raise AverageError(f"{folder} does not say how its weights came about: it has no run.json.")
        return cls(weights, recipe, record)


def mean_weights(paths: Sequence[Path], shares: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of every floating-point tensor, in float32; counters are those of the first.

    Args:
        paths: safetensors files of the same network.
        shares: one each, sum 1.

    Raises:
        AverageError: a file cannot be read, or holds another network.
    """
    mean: dict[str, Tensor] = {}
    for path, share in zip(paths, shares, strict=True):
        try:
            weights = load_file(path)
        except (OSError, SafetensorError) as error:
            raise AverageError(f"{path} cannot be read: {error}.") from error
        if mean and {name: tensor.shape for name, tensor in mean.items()} != {
            name: tensor.shape for name, tensor in weights.items()
        }:
            raise AverageError(f"{path} holds another network than {paths[0]}.")
        for name, tensor in weights.items():
            if not tensor.is_floating_point():
                mean.setdefault(name, tensor)
            else:
                mean[name] = mean.get(name, torch.zeros(tensor.shape)) + share * tensor.float()
    return mean


def check_agreement(trained: Sequence[Trained]) -> None:
    """All must have been trained on the same images and shown them alike.

    Raises:
        AverageError: they were not: what one holds out, another has seen.
    """
    first = trained[0]
    for other in trained[1:]:
        for name in (TRAINING_FILES, HELD_OUT_FILES):
            if (first.weights.parent / name).read_bytes() != (other.weights.parent / name).read_bytes():
                raise AverageError(f"{other.weights} was trained on other images than {first.weights}: see {name}.")
        for name in MUST_AGREE:
            if first.recipe.get(name) != other.recipe.get(name):
                raise AverageError(
                    f"{other.weights} has {name} {other.recipe.get(name)}, {first.weights} {first.recipe.get(name)}."
                )


def average(paths: Sequence[Path], shares: Sequence[float], run: Path) -> None:
    """Write the mean as a run folder, for `trainer.export`; its recipe and ending are those of the first.

    Raises:
        AverageError: the weights cannot be averaged, or `run` exists.
    """
    if run.exists():
        raise AverageError(f"{run} exists: choose another --run folder.")
    total = sum(shares)
    shares = [share / total for share in shares]
    trained = [Trained.read(path) for path in paths]
    try:
        check_agreement(trained)
    except OSError as error:
        raise AverageError(f"{error.filename} cannot be read: {error.strerror}.") from error
    mean = mean_weights(paths, shares)
    run.mkdir(parents=True)
    for name in (TRAINING_FILES, HELD_OUT_FILES):
        shutil.copyfile(paths[0].parent / name, run / name)
    write_json(run / RECIPE, trained[0].recipe)
    ingredients = tuple(
        Ingredient("/".join(path.parts[-2:]), file_sha256(path), share)
        for path, share in zip(paths, shares, strict=True)
    )
    replace(trained[0].record, mean_of=ingredients).write(run)
    save_file(mean, run / WEIGHTS)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.average`."""
    parser = argparse.ArgumentParser(prog="python -m trainer.average", description=__doc__)
    parser.add_argument(
        "--weights", type=Path, nargs="+", required=True, help="model.safetensors of two or more runs or models"
    )
    parser.add_argument("--shares", type=positive_number, nargs="+", help="of each (default: all alike)")
    parser.add_argument("--run", type=Path, required=True, help="run folder to write")
    parsed = parser.parse_args(arguments)
    parsed.shares = parsed.shares or [1.0] * len(parsed.weights)
    if len(parsed.weights) < 2 or len(parsed.shares) != len(parsed.weights):
        parser.error("--weights takes two or more files, and --shares as many numbers")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the mean is written, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_arguments(arguments)
    try:
        average(parsed.weights, parsed.shares, parsed.run)
    except AverageError as error:
        print(f"trainer.average: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    logger.info("written to %s; next: python -m trainer.export --run %s", parsed.run, parsed.run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
