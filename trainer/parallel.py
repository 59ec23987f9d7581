"""One training by several processes, each on a GPU of its own, as `torchrun` starts them; or by this process alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Processes:
    """Who takes part.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
        local_rank: its number on this machine: which GPU it takes.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def device(self) -> torch.device:
        """Of this process: its GPU, or the CPU where there is none."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and draws the bar."""
        return self.rank == 0

    def share(self, order: Tensor) -> Tensor:
        """This process's part of an order `(n,)`: every `count`-th, of equal length everywhere."""
        even = len(order) // self.count * self.count
        return order[self.rank : even : self.count]

    def sum(self, values: Tensor) -> Tensor:
        """Sum of `values` over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def level(self, module: nn.Module) -> None:
        """Give every process the first one's batch statistics: each has seen other images."""
        if self.count > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def agree(self, decision: bool) -> bool:
        """What the first process decided: clocks differ, and processes that part ways wait for each other for ever."""
        if self.count > 1:
            told = torch.tensor(decision, device=self.device)
            distributed.broadcast(told, 0)
            return bool(told)
        return decision

    def wait(self) -> None:
        """Go on when every process has come this far."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes that `torchrun` started with this one (NCCL on GPUs, Gloo on CPUs); else this one alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Processes()
        return
    processes = Processes(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(processes.local_rank)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
