"""A checkpoint is restored whole, or one sentence says what is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from trainer.checkpoint import Progress, load_checkpoint, save_checkpoint, saved_progress
from trainer.loop import TrainingError

TENSORS = "0003-checkpoint.safetensors"


def network(width: int = 3) -> tuple[nn.Linear, AdamW]:
    model = nn.Linear(width, 2)
    return model, AdamW([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}], lr=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The checkpoint of a network that has made a step."""
    model, optimizer = network()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.07
    save_checkpoint(tmp_path, {"model": model}, optimizer, Progress({"name": "default"}, 3, [{"epoch": 3.0}]))
    return tmp_path


def test_everything_comes_back(folder: Path) -> None:
    model, optimizer = network()
    progress = load_checkpoint(folder, {"model": model}, optimizer)
    assert progress == saved_progress(folder) == Progress({"name": "default"}, 3, [{"epoch": 3.0}])
    assert [group["lr"] for group in optimizer.param_groups] == [0.07, 0.5]
    again = folder / "again"
    again.mkdir()
    save_checkpoint(again, {"model": model}, optimizer, progress)
    assert (again / TENSORS).read_bytes() == (folder / TENSORS).read_bytes()


def test_a_folder_without_one(tmp_path: Path) -> None:
    model, optimizer = network()
    assert load_checkpoint(tmp_path, {"model": model}, optimizer) is None
    assert saved_progress(tmp_path) is None


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def without(key: str) -> Callable[[Path], None]:
    def remove(path: Path) -> None:
        saved = json.loads(path.read_text())
        del saved[key]
        path.write_text(json.dumps(saved))

    return remove


@pytest.mark.parametrize(
    "damage", [truncate, without("groups"), without("progress"), lambda path: path.write_text("1")]
)
def test_a_broken_progress_file_is_one_sentence(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / "checkpoint.json")
    sentence = r"checkpoint\.json is no checkpoint to go on with \(.+\): put the file back, or begin anew"
    with pytest.raises(TrainingError, match=sentence) as raised:
        saved_progress(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", [truncate, Path.unlink])
def test_a_broken_or_missing_tensors_file_is_one_sentence(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / TENSORS)
    model, optimizer = network()
    with pytest.raises(TrainingError, match=rf"{TENSORS} is no checkpoint to go on with") as raised:
        load_checkpoint(folder, {"model": model}, optimizer)
    assert "\n" not in str(raised.value)


def test_another_network_is_refused(folder: Path) -> None:
    model, optimizer = network(width=4)
    with pytest.raises(TrainingError, match=r"\(it is of another network\)"):
        load_checkpoint(folder, {"model": model}, optimizer)


def test_a_full_memory_is_not_taken_for_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = network()

    def full(_: dict[str, Tensor]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(model, "load_state_dict", full)
    with pytest.raises(torch.OutOfMemoryError):
        load_checkpoint(folder, {"model": model}, optimizer)
