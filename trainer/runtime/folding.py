"""The network as it is run: batch norms folded into the convolutions before them, parameters in half-precision values.

Both engines start from here, so that they hold the same numbers: left alone, OpenVINO folds by itself and then stores
half precision, and rounding before instead of after the folding moved probabilities by up to 0.003. It needs torch.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trainer.runtime.network import BrainTumorClassifier


def _fold_batch_norms(module: nn.Module) -> None:
    children = list(module.named_children())
    for (name, child), (next_name, follower) in pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, follower))
            setattr(module, next_name, nn.Identity())
    for child in module.children():
        _fold_batch_norms(child)


@torch.no_grad()
def inference_network(weights: Mapping[str, Tensor]) -> BrainTumorClassifier:
    """The float32 network of a state dict (in any precision), ready for inference, not for training.

    Raises:
        RuntimeError: the weights are not this version's network.
    """
    network = BrainTumorClassifier(boxes=any(name.startswith("head.") for name in weights)).eval()
    network.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    )
    _fold_batch_norms(network)
    for parameter in network.parameters():
        parameter.copy_(parameter.half().float())
    return network.requires_grad_(False)
