"""What a run is, in its folder: written once by a fresh run, compared before the run is gone on with."""

import json
from dataclasses import dataclass
from pathlib import Path

from trainer.checkpoint import saved_recipe
from trainer.loop import TrainingError
from trainer.parts import Parts, file_list
from trainer.recipes import Recipe
from trainer.runtime.bundle import HELD_OUT_FILES, TRAINING_FILES, file_sha256

RECIPE, RUN = "recipe.json", "run.json"
SCRATCH, TORCHVISION = "scratch", "torchvision IMAGENET1K_V2"


@dataclass(frozen=True)
class RunRecords:
    """A run, before its first step.

    Attributes:
        recipe: `recipe.json`.
        seed: of the division of Train and of the training, in `run.json`.
        lists: `training-files.csv` and `held-out-files.csv` by name.
    """

    recipe: Recipe
    seed: int
    lists: dict[str, bytes]

    @classmethod
    def of(cls, recipe: Recipe, seed: int, parts: Parts) -> "RunRecords":
        """The records of a run on these parts; reads every image for its sum."""
        return cls(recipe, seed, {TRAINING_FILES: file_list(parts.training), HELD_OUT_FILES: file_list(parts.held_out)})


def start_weights(weights: Path | None, scratch: bool) -> dict[str, str]:
    """Where a run's first weights come from, as `run.json` says it."""
    if scratch:
        return {"source": SCRATCH}
    if weights is None:
        return {"source": TORCHVISION}
    return {"source": weights.name, "sha256": file_sha256(weights)}


def write_records(folder: Path, records: RunRecords, start: dict[str, str]) -> None:
    """Write down what this run is: recipe, seed, first weights, files trained on, files held out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE).write_text(json.dumps(records.recipe.as_json(), indent=2) + "\n")
    (folder / RUN).write_text(json.dumps({"seed": records.seed, "start_weights": start}, indent=2) + "\n")
    for name, content in records.lists.items():
        (folder / name).write_bytes(content)


def is_begun(folder: Path, records: RunRecords) -> bool:
    """Whether the folder holds a checkpoint of this very run; changes nothing.

    Raises:
        TrainingError: its checkpoint is of another recipe, seed or division of the data.
    """
    recipe = saved_recipe(folder)
    if recipe is None:
        return False
    wanted = records.recipe.as_json()
    different = sorted(name for name in wanted.keys() | recipe.keys() if wanted.get(name) != recipe.get(name))
    if different:
        what = f"another recipe ({', '.join(different)})"
    elif _recorded_seed(folder, records.seed) != records.seed:
        what = f"another seed ({_recorded_seed(folder, records.seed)})"
    else:
        changed = [name for name, content in records.lists.items() if _content(folder / name) != content]
        if not changed:
            return True
        what = f"other data (see its {' and '.join(changed)})"
    raise TrainingError(f"{folder} holds a run of {what}: choose another --run folder.")


def _recorded_seed(folder: Path, otherwise: int) -> int:
    """Runs begun before `run.json` existed have no seed on record."""
    path = folder / RUN
    return int(json.loads(path.read_text())["seed"]) if path.is_file() else otherwise


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
