"""Which images a run trains on and which it holds out, written down by name and sum."""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from trainer.labels import DatasetError, Sample, Split, first_of_each_class, list_samples
from trainer.leakage import PictureGroups, find_picture_groups
from trainer.recipes import Recipe
from trainer.runtime.bundle import file_sha256
from trainer.splits import IndexArray, class_indices, hold_out, without_leakage


@dataclass(frozen=True)
class Parts:
    """Train divided; `summary` is one line for the log."""

    training: list[Sample]
    held_out: list[Sample]
    summary: str


def choose_parts(
    data: Path, recipe: Recipe, seed: int, limit: int | None = None, held_out_before: frozenset[str] = frozenset()
) -> Parts:
    """Read Train and divide it as the recipe says; with the leak filter Val is looked at, but only by its hashes.

    The division of the leak filter is the same in every run of one seed. The published one is another; so that a run
    can go on with it from the weights of a filtered run, it holds out what that one held out.

    Args:
        data: folder with `Train/` and `Val/`.
        recipe: decides on the leak filter and the held-out share.
        seed: of the division.
        limit: at most this many images of each class, for trials.
        held_out_before: sha256 of the images that the run it goes on from held out.

    Raises:
        DatasetError: a folder is missing or empty, an image cannot be read, or too few are left.
    """
    train = list_samples(data, Split.TRAIN)
    if not recipe.leak_filter:
        taken = first_of_each_class(train, limit)
        if held_out_before:
            return _held_out_as_before(taken, held_out_before)
        return _as_published(taken, recipe.held_out_share, seed)
    pictures = find_picture_groups([*train, *list_samples(data, Split.VAL)])
    clean = without_leakage(pictures)
    rows = within_limit(pictures, clean.kept, limit)
    held_out = hold_out(class_indices(pictures.samples)[rows], pictures.groups[rows], recipe.held_out_share, seed)
    training, kept_back = samples_at(pictures, rows[~held_out]), samples_at(pictures, rows[held_out])
    return Parts(
        training,
        kept_back,
        f"{len(training)} images to train on, {len(kept_back)} held out; left out: {clean.look_alikes_of_val} "
        f"look-alikes of Val, {clean.duplicates} repeats",
    )


def _held_out_as_before(train: Sequence[Sample], sums: frozenset[str]) -> Parts:
    held_out = [sample for sample in train if file_sha256(sample.image_path) in sums]
    if {sample.class_index for sample in held_out} != {sample.class_index for sample in train}:
        raise DatasetError("The run to go on from held out no image of a class of this Train: it is of other data.")
    chosen = {sample.image_path for sample in held_out}
    return _leaky([sample for sample in train if sample.image_path not in chosen], held_out)


def _as_published(train: Sequence[Sample], share: float, seed: int) -> Parts:
    """The published division: by class in proportion, look-alikes on both sides."""
    try:
        training, held_out = train_test_split(train, test_size=share, stratify=class_indices(train), random_state=seed)
    except ValueError as error:  # fewer images of a class than parts
        raise DatasetError(f"Train cannot be divided: {error}") from error
    return _leaky(training, held_out)


def _leaky(training: list[Sample], held_out: list[Sample]) -> Parts:
    return Parts(training, held_out, f"{len(training)} images to train on, {len(held_out)} held out, leaks left in")


def within_limit(pictures: PictureGroups, rows: IndexArray, limit: int | None) -> IndexArray:
    """The first `limit` of `rows` of each class; all without a limit."""
    kept = {id(sample) for sample in first_of_each_class(samples_at(pictures, rows), limit)}
    return np.array([row for row in rows.tolist() if id(pictures.samples[row]) in kept], np.int64)


def samples_at(pictures: PictureGroups, rows: IndexArray) -> list[Sample]:
    """The samples of some rows."""
    return [pictures.samples[row] for row in rows.tolist()]


def file_list(samples: list[Sample]) -> bytes:
    """CSV with `name,sha256` of every sample, so that anyone can check what a model has seen."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("name", "sha256"))
    writer.writerows((sample.name, file_sha256(sample.image_path)) for sample in samples)
    return text.getvalue().encode()


def labels_sum(samples: Sequence[Sample]) -> str:
    """Sha256 over the label lines of all samples, as they are understood: spaces and malformed lines do not count."""
    digest = hashlib.sha256()
    for sample in samples:
        lines = [astuple(line) for line in sample.lines]
        digest.update(f"{sample.split}/{sample.name} {lines}\n".encode())
    return digest.hexdigest()
