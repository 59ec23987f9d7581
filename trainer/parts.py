"""Which images a run trains on and which it holds out, written down by name and sum."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.dataset import hold_out, without_leakage
from trainer.labels import Sample, Split, list_samples
from trainer.leakage import look_alike_groups, perceptual_hashes
from trainer.recipes import Recipe
from trainer.runtime.bundle import file_sha256


@dataclass(frozen=True)
class Parts:
    """Train divided; `summary` is one line for the log."""

    training: list[Sample]
    held_out: list[Sample]
    summary: str


def choose_parts(data: Path, recipe: Recipe, seed: int, limit: int | None = None) -> Parts:
    """Read Train and divide it as the recipe says; with the leak filter Val is looked at, but only by its hashes.

    Args:
        data: folder with `Train/` and `Val/`.
        recipe: decides on the leak filter and the held-out share.
        seed: of the division.
        limit: at most this many images of each class, for trials.

    Raises:
        DatasetError: a folder is missing or empty.
    """
    train = list_samples(data, Split.TRAIN)
    if not recipe.leak_filter:
        train = [train[index] for index in _within_limit(train, limit)]
        training, held_out = hold_out(train, np.arange(len(train)), recipe.held_out_share, seed)
        return Parts(training, held_out, f"{len(training)} images to train on, {len(held_out)} held out, leaks left in")
    val = list_samples(data, Split.VAL)
    clean = without_leakage(
        train,
        perceptual_hashes([sample.image_path for sample in train]),
        perceptual_hashes([sample.image_path for sample in val]),
    )
    taken = _within_limit(clean.kept, limit)
    kept = [clean.kept[index] for index in taken]
    groups = look_alike_groups(clean.kept_hashes[taken])
    training, held_out = hold_out(kept, groups, recipe.held_out_share, seed)
    return Parts(
        training,
        held_out,
        f"{len(training)} images to train on, {len(held_out)} held out; left out: {clean.look_alikes_of_val} "
        f"look-alikes of Val, {clean.duplicates} repeats",
    )


def _within_limit(samples: list[Sample], limit: int | None) -> list[int]:
    """Indices of the first `limit` samples of each class; of all without a limit."""
    taken: Counter[int] = Counter()
    indices = []
    for index, sample in enumerate(samples):
        taken[sample.class_index] += 1
        if limit is None or taken[sample.class_index] <= limit:
            indices.append(index)
    return indices


def file_list(samples: list[Sample]) -> bytes:
    """CSV with `name,sha256` of every sample, so that anyone can check what a model has seen."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("name", "sha256"))
    writer.writerows((sample.name, file_sha256(sample.image_path)) for sample in samples)
    return text.getvalue().encode()
