"""Mixing what features look like, but not where they are, between images of a batch (MixStyle).

The mean and deviation of an early feature map carry the look of a picture: scanner, sequence, window
(https://arxiv.org/abs/2104.02008). Trained on features with the look of another image of the batch, a network cannot
tell tumours by it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

CONCENTRATION = 0.2
"""Of the Beta distribution that says how much of its own look an image keeps: mostly nearly all or nearly none."""


def mix_styles(features: Tensor) -> Tensor:
    """Features `(n, c, h, w)`, each channel with a mean and deviation between its own and that of another image."""
    spread, mean = torch.std_mean(features.detach().float(), dim=(2, 3), keepdim=True)
    spread = spread + 1e-4
    concentration = torch.tensor(CONCENTRATION)
    kept = torch.distributions.Beta(concentration, concentration).sample((len(features), 1, 1, 1)).to(features.device)
    other = torch.randperm(len(features), device=features.device)
    mixed_mean = kept * mean + (1 - kept) * mean[other]
    mixed_spread = kept * spread + (1 - kept) * spread[other]
    scale = mixed_spread / spread
    return features * scale.to(features.dtype) + (mixed_mean - mean * scale).to(features.dtype)


@contextmanager
def mixed_styles(stages: list[nn.Module], share: float) -> Iterator[None]:
    """While it lasts, every stage's output is mixed in `share` of the forward passes."""

    def hook(_stage: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return mix_styles(output) if torch.rand(()) < share else output

    handles = [stage.register_forward_hook(hook) for stage in stages] if share else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
