"""Training in processes of their own: killed in the middle of an epoch, and two at once."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SMALL_TRAINING = str(HERE / "small_training.py")
PYTHON = [sys.executable]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def train(launcher: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*launcher, SMALL_TRAINING, *arguments],
        capture_output=True, text=True, check=False, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def small(data: Path, run: Path, *others: str) -> list[str]:
    return ["--data", str(data), "--scratch", "--size", "64", "--batch-size", "8", "--run-folder", str(run), *others]


@pytest.mark.parametrize("recipe", ["default", pytest.param("seed", marks=pytest.mark.long)])
def test_killed_in_the_middle_of_an_epoch_it_ends_as_if_nothing_had_been(
    data: Path, tmp_path: Path, recipe: str
) -> None:
    wanted = ["--recipe", recipe, "--epochs", "3"]
    whole = train(PYTHON, *small(data, tmp_path / "whole", *wanted))
    assert whole.returncode == 0, whole.stderr
    arguments = small(data, tmp_path / "killed", *wanted)
    killed = train(PYTHON, "--kill-in-step", "10", *arguments)
    assert killed.returncode == -signal.SIGKILL
    assert len((tmp_path / "killed" / "history.csv").read_text().splitlines()) == 2  # its heading and one epoch
    resumed = train(PYTHON, *arguments)
    assert "resuming after epoch 1" in resumed.stderr
    for name in ("history.csv", "model.safetensors", "test.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("others", "epochs"),
    [
        (["--recipe", "seed", "--epochs", "1", "--limit", "5"], 1),
        (["--recipe", "default", "--epochs", "2", "--limit", "16"], 2),
        # both begin no second epoch, whatever their own clocks say
        (["--recipe", "seed", "--epochs", "3", "--limit", "5", "--minutes", "0.0001"], 1),
    ],
    ids=["seed", "default", "out-of-time"],
)
def test_two_processes_train_one_network(data: Path, tmp_path: Path, others: list[str], epochs: int) -> None:
    done = train(TORCHRUN, *small(data, tmp_path / "run", *others))
    assert done.returncode == 0, done.stderr
    sums = dict(re.findall(r"^rank (\d of 2): (\w{64})$", done.stdout, re.MULTILINE))
    assert sums.keys() == {"0 of 2", "1 of 2"}
    assert len(set(sums.values())) == 1
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(history) == 1 + epochs
    assert done.stderr.count("written to") == 1
