"""`python small_training.py [--kill-in-step N] ARGUMENTS`: `trainer.fit` on one thread with a tenth of the network.

For tests that need processes of their own: one that is killed, and several that train together.
"""

import hashlib
import os
import signal
import sys
from pathlib import Path

import torch
from torchvision.models.resnet import Bottleneck, ResNet

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from trainer import fit  # noqa: E402
from trainer.run import TrainingRun  # noqa: E402
from trainer.runtime import network  # noqa: E402


def narrow(weights: None) -> ResNet:  # noqa: ARG001 - as torchvision calls it
    return ResNet(Bottleneck, [1, 1, 1, 1], width_per_group=8)


def kill_in_step(wanted: int) -> None:
    """SIGKILL this process in the middle of an epoch: no handler, no clean-up."""
    after_step, steps = TrainingRun._after_step, 0

    def counted(run: TrainingRun) -> None:
        nonlocal steps
        steps += 1
        if steps == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        after_step(run)

    TrainingRun._after_step = counted  # type: ignore[method-assign]


def print_sums() -> None:
    """One line a process when training ends: its rank and the sum of its weights."""
    trained = TrainingRun.fit

    def fit_and_print(run: TrainingRun, *arguments: object) -> None:
        trained(run, *arguments)  # type: ignore[arg-type]
        values = torch.cat([value.flatten().double() for value in run.best_model.state_dict().values()])
        digest = hashlib.sha256(values.numpy().tobytes()).hexdigest()
        sys.stdout.write(f"rank {run.processes.rank} of {run.processes.count}: {digest}\n")

    TrainingRun.fit = fit_and_print  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    torch.set_num_threads(1)
    network.resnet50 = narrow
    arguments = sys.argv[1:]
    if arguments[0] == "--kill-in-step":
        kill_in_step(int(arguments[1]))
        arguments = arguments[2:]
    print_sums()
    sys.exit(fit.main(arguments))
