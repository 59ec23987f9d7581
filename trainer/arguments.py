"""What the trainer's command lines share; numbers that cannot be meant are refused by argparse, in its one sentence."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

LARGEST_SEED = 2**32 - 1
"""scikit-learn and NumPy take seeds of 32 bits."""


def parse_model_change(
    program: str, description: str | None, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """The command line of a program that changes a model folder by its run's images: `data` and `model`."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--model", type=Path, required=True, help="model folder, changed in place")
    return parser.parse_args(arguments)


def positive_integer(text: str) -> int:
    """A whole number from 1 up.

    Raises:
        argparse.ArgumentTypeError: `text` is none.
    """
    return _integer_within(text, 1, None)


def seed_number(text: str) -> int:
    """A whole number from 0 to `LARGEST_SEED`.

    Raises:
        argparse.ArgumentTypeError: `text` is none.
    """
    return _integer_within(text, 0, LARGEST_SEED)


def positive_number(text: str) -> float:
    """A finite number above 0.

    Raises:
        argparse.ArgumentTypeError: `text` is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _integer_within(text: str, lowest: int, highest: int | None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if value < lowest or (highest is not None and value > highest):
        bounds = f"from {lowest} up" if highest is None else f"from {lowest} to {highest}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {bounds}")
    return value
