"""What a run is, in its folder: written once by a fresh run, compared before the run is gone on with."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from trainer.checkpoint import Progress, saved_progress
from trainer.code_version import code_commit
from trainer.loop import TrainingError
from trainer.model import training_precision
from trainer.parallel import Processes
from trainer.parts import Parts, file_list, labels_sum
from trainer.recipes import Recipe
from trainer.run import TrainingRun
from trainer.run_record import (
    SCRATCH,
    TORCHVISION,
    End,
    Ending,
    Environment,
    RunRecord,
    RunRecordError,
    StartWeights,
)
from trainer.runtime.bundle import (
    HELD_OUT_FILES,
    MANIFEST,
    RUN,
    TRAINING_FILES,
    ModelFolderError,
    file_sha256,
    read_file_list,
)

logger = logging.getLogger(__name__)

RECIPE = "recipe.json"


@dataclass(frozen=True)
class RunRecords:
    """A run, before its first step.

    Attributes:
        recipe: `recipe.json`.
        seed: of the division of Train and of the training, in `run.json`.
        lists: `training-files.csv` and `held-out-files.csv` by name.
        labels_sha256: sum over the label lines of both lists, in `run.json`.
        environment: what it computes with, in `run.json`.
    """

    recipe: Recipe
    seed: int
    lists: dict[str, bytes]
    labels_sha256: str
    environment: Environment

    @classmethod
    def of(cls, recipe: Recipe, seed: int, parts: Parts, processes: Processes) -> "RunRecords":
        """The records of a run on these parts; reads every image for its sum."""
        lists = {TRAINING_FILES: file_list(parts.training), HELD_OUT_FILES: file_list(parts.held_out)}
        return cls(recipe, seed, lists, labels_sum([*parts.training, *parts.held_out]), environment_of(processes))


def environment_of(processes: Processes) -> Environment:
    """What a run computes with here and now."""
    precision = training_precision(processes.device) or torch.float32
    return Environment(
        processes.count,
        processes.device.type,
        str(precision).removeprefix("torch."),
        torch.__version__,
        code_commit(),
    )


def start_weights(weights: Path | None, scratch: bool) -> StartWeights:
    """Where a run's first weights come from.

    Raises:
        TrainingError: they are of a run whose run.json is broken.
    """
    if scratch:
        return StartWeights(SCRATCH)
    if weights is None:
        return StartWeights(TORCHVISION)
    of_a_run = any((weights.parent / name).is_file() for name in (RECIPE, MANIFEST))
    record = _read_record(weights.parent) if of_a_run else None
    return StartWeights(
        "/".join(weights.parts[-2:]) if of_a_run else weights.name,
        file_sha256(weights),
        record.end.epochs_done if record and record.end else None,
        record.start_weights if record else None,
    )


def check_start_weights(weights: Path, records: RunRecords) -> None:
    """Let a run go on from another's weights only where it trains on every image that the other one trained on.

    An image that this run holds out, tests on or leaves out as a look-alike of Val would not be new to the network.

    Raises:
        TrainingError: it would not be, or nothing beside the weights says what they were trained on.
    """
    path = weights.parent / TRAINING_FILES
    try:
        seen = path.read_bytes().splitlines()[1:]
    except OSError as error:
        raise TrainingError(
            f"{weights} is of another run, and {path} does not say what that one was trained on ({error.strerror}): "
            "keep both together."
        ) from error
    foreign = set(seen) - set(records.lists[TRAINING_FILES].splitlines()[1:])
    if foreign:
        raise TrainingError(
            f"{weights} was trained on {len(foreign)} images that this run holds out or leaves out: its figures would "
            "be too good. Take the seed, the data and the split of that run, or start from ImageNet."
        )


def held_out_before(weights: Path | None) -> frozenset[str]:
    """Sha256 of the images that the run of these weights held out; none of weights that are of no run.

    Raises:
        TrainingError: what is written beside the weights is no such list.
    """
    path = None if weights is None else weights.parent / HELD_OUT_FILES
    if path is None or not path.is_file():
        return frozenset()
    try:
        return frozenset(listed.sha256 for listed in read_file_list(path))
    except ModelFolderError as error:
        raise TrainingError(f"{path} cannot be read: {error.__cause__!r}.") from error


def write_records(folder: Path, records: RunRecords, start: StartWeights) -> None:
    """Write down what this run is: recipe, seed, first weights, files trained on, files held out, their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE).write_text(json.dumps(records.recipe.as_json(), indent=2) + "\n")
    RunRecord(records.seed, start, records.labels_sha256, records.environment).write(folder)
    for name, content in records.lists.items():
        (folder / name).write_bytes(content)


def is_begun(folder: Path, records: RunRecords) -> bool:
    """Whether the folder holds a checkpoint of this very run; changes nothing, warns of another environment.

    Raises:
        TrainingError: its checkpoint is of another recipe, seed, division of the data or labels, or a file is broken.
    """
    progress = saved_progress(folder)
    if progress is None:
        return False
    recorded = _read_record(folder)
    for what in _differences(folder, records, progress, recorded):
        raise TrainingError(f"{folder} holds a run of {what}: choose another --run folder.")
    if recorded is not None and recorded.environment is not None:
        changes = list(recorded.environment.differences(records.environment))
        if changes:
            logger.warning(
                "%s goes on with %s: it need not end, to the byte, as it would have", folder, ", ".join(changes)
            )
    return True


def _differences(folder: Path, records: RunRecords, progress: Progress, recorded: RunRecord | None) -> Iterator[str]:
    """What the run in the folder is, where it is another; runs of older versions have not everything on record."""
    wanted, recipe = records.recipe.as_json(), progress.recipe
    different = sorted(name for name in wanted.keys() | recipe.keys() if wanted.get(name) != recipe.get(name))
    if different:
        yield f"another recipe ({', '.join(different)})"
    if recorded is not None and recorded.seed != records.seed:
        yield f"another seed ({recorded.seed})"
    changed = [name for name, content in records.lists.items() if _content(folder / name) != content]
    if changed:
        yield f"other data (see its {' and '.join(changed)})"
    if recorded is not None and recorded.labels_sha256 not in (None, records.labels_sha256):
        yield f"other labels (label files have changed: see labels_sha256 in its {RUN})"


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _read_record(folder: Path) -> RunRecord | None:
    try:
        return RunRecord.read(folder)
    except RunRecordError as error:
        raise TrainingError(f"{error}: put the file back, or begin anew in another run folder.") from error


def record_end(run: TrainingRun) -> None:
    """Write into run.json how far a run came and why it stopped, once its `fit` has returned.

    Raises:
        TrainingError: run.json is broken.
    """
    if run.progress.epochs_done >= run.recipe.epochs:
        ending = Ending.ALL_EPOCHS
    else:
        ending = Ending.EARLY_STOP if run.is_over else Ending.OUT_OF_TIME
    end = End(run.progress.epochs_done, ending)
    recorded = _read_record(run.folder)
    # a finished run that is started again is left as it is; before run.json there is nothing to write into
    if run.processes.is_first and recorded is not None and recorded.end != end:
        replace(recorded, end=end).write(run.folder)


def recorded_end(folder: Path) -> End | None:
    """How the run in a folder ended, or how far it was when it was killed; `None` where nothing says so.

    Raises:
        TrainingError: run.json or the checkpoint is broken.
    """
    recorded, progress = _read_record(folder), saved_progress(folder)
    end = recorded.end if recorded is not None else None
    if progress is None or (end is not None and end.epochs_done == progress.epochs_done):
        return end
    # no end, or that of a run that was gone on with since
    all_done = progress.epochs_done == progress.recipe.get("epochs")
    return End(progress.epochs_done, Ending.ALL_EPOCHS if all_done else Ending.INTERRUPTED)
