"""Telling "the memory is full" apart from every other error of torch."""

import torch

CPU_ALLOCATOR = "DefaultCPUAllocator: can't allocate memory"
"""On a CPU torch raises a plain RuntimeError with this text (c10/core/impl/alloc_cpu.cpp)."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the GPU's or the computer's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and CPU_ALLOCATOR in str(error)
