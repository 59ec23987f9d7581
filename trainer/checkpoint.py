"""Training state on disk: tensors in safetensors, the rest in JSON.

Written beside and renamed, so that a kill leaves the last whole epoch.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.loop import TrainingError
from trainer.memory import is_out_of_memory

TENSORS = "checkpoint.safetensors"
STATE = "checkpoint.json"
SCHEDULED = ("lr", "betas")
"""What the schedules change in an optimizer's groups: one cycle moves the momentum along with the rate."""


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        epochs_done: whole epochs behind us.
        recipe: the recipe as written, to refuse another one on resume.
        history: one row an epoch, as in `history.csv`.
        scheduler: the scheduler's own state.
        best_loss: early stopper's best validation loss, `None` before the first epoch.
        epochs_without_gain: early stopper's count.
    """

    recipe: dict[str, object]
    epochs_done: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    scheduler: dict[str, object] = field(default_factory=dict)
    best_loss: float | None = None
    epochs_without_gain: int = 0


def _flatten(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": torch.as_tensor(value)
        for index, entries in state.items()
        for key, value in entries.items()
    }


def save_checkpoint(folder: Path, models: dict[str, nn.Module], optimizer: Optimizer, progress: Progress) -> None:
    """Write models (by name), optimizer and progress; the progress file is renamed last and makes it valid."""
    tensors = {f"{name}.{key}": value for name, model in models.items() for key, value in model.state_dict().items()}
    tensors |= _flatten(optimizer)
    epoch_file = folder / f"{progress.epochs_done:04d}-{TENSORS}"
    save_file({key: value.detach().contiguous().cpu() for key, value in tensors.items()}, epoch_file)
    moving = [{name: group[name] for name in SCHEDULED} for group in optimizer.param_groups]
    text = json.dumps({"tensors": epoch_file.name, "groups": moving, "progress": asdict(progress)})
    temporary = folder / f".{STATE}"
    temporary.write_text(text)
    temporary.replace(folder / STATE)
    for old in folder.glob(f"*-{TENSORS}"):
        if old != epoch_file:
            old.unlink()


def saved_progress(folder: Path) -> Progress | None:
    """How far the run is whose checkpoint the folder holds; `None` when it has no checkpoint.

    Raises:
        TrainingError: the progress file is broken.
    """
    saved = _read_state(folder)
    return None if saved is None else saved.progress


def load_checkpoint(folder: Path, models: dict[str, nn.Module], optimizer: Optimizer) -> Progress | None:
    """Restore what `save_checkpoint` wrote; `None` when the folder has no checkpoint.

    Raises:
        TrainingError: a file of it is missing or broken, or it is of another network.
    """
    saved = _read_state(folder)
    if saved is None:
        return None
    path = folder / saved.tensors
    try:
        tensors = load_file(path)
    except (FileNotFoundError, SafetensorError) as error:
        raise _cannot_go_on(path, str(error)) from error
    try:
        _restore(tensors, saved.groups, models, optimizer)
    except (KeyError, RuntimeError, ValueError) as error:  # torch says every misfit with one of these
        if is_out_of_memory(error):
            raise
        raise _cannot_go_on(path, "it is of another network") from error
    return saved.progress


@dataclass(frozen=True)
class _SavedState:
    """The progress file: name of the tensors' file, what moves in each of the optimizer's groups, progress."""

    tensors: str
    groups: list[dict[str, Any]]
    progress: Progress


def _read_state(folder: Path) -> _SavedState | None:
    path = folder / STATE
    try:
        saved = json.loads(path.read_text())
        return _SavedState(str(saved["tensors"]), list(saved["groups"]), Progress(**saved["progress"]))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise _cannot_go_on(path, repr(error)) from error


def _cannot_go_on(path: Path, reason: str) -> TrainingError:
    return TrainingError(
        f"{path} is no checkpoint to go on with ({reason}): put the file back, or begin anew in another run folder."
    )


def _restore(
    tensors: dict[str, Tensor], groups: list[dict[str, Any]], models: dict[str, nn.Module], optimizer: Optimizer
) -> None:
    """Fill models and optimizer, `tensors` being named as `save_checkpoint` names them."""
    for name, model in models.items():
        prefix = f"{name}."
        model.load_state_dict({key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)})
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, entry = key.split(".", 2)
            entries.setdefault(int(index), {})[entry] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": entries, "param_groups": whole["param_groups"]})
    for group, moving in zip(optimizer.param_groups, groups, strict=True):
        group.update(moving)
