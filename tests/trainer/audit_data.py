"""A clean data set made here for the audit, and ways to plant trouble in it."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from trainer.labels import Split
from trainer.runtime.records import CLASSES, TumorClass

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("TRIAGE_SHARED", REPOSITORY.parent / "shared")) / "data"
SIDE = 96
PER_CLASS = 2


def picture(seed: int) -> Image.Image:
    """One that no other looks like."""
    coarse = np.random.default_rng(seed).integers(10, 250, (12, 12), dtype=np.uint8)
    return Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def image_path(data: Path, split: Split, tumor_class: TumorClass, name: str) -> Path:
    return data / split / tumor_class / "images" / name


def label_path(data: Path, split: Split, tumor_class: TumorClass, stem: str) -> Path:
    return data / split / tumor_class / "labels" / f"{stem}.txt"


def write_clean_data(data: Path, splits: tuple[Split, ...] = tuple(Split)) -> Path:
    """Images `a.png` and `b.png` in every folder, each with one good line."""
    for split in splits:
        for index, tumor_class in enumerate(CLASSES):
            for part in ("images", "labels"):
                (data / split / tumor_class / part).mkdir(parents=True)
            for number, stem in enumerate("ab"):
                seed = 100 * list(Split).index(split) + 10 * index + number
                picture(seed).save(image_path(data, split, tumor_class, f"{stem}.png"))
                size = 0.9 if tumor_class is TumorClass.NO_TUMOR else 0.2
                label_path(data, split, tumor_class, stem).write_text(f"{index} 0.5 0.5 {size} {size}\n")
    return data
