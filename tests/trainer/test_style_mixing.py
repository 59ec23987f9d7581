"""Features keep where things are and take on how another image looks."""

import torch
from torch import nn

from trainer.style_mixing import mix_styles, mixed_styles


def standardised(features: torch.Tensor) -> torch.Tensor:
    return (features - features.mean((2, 3), keepdim=True)) / features.std((2, 3), keepdim=True)


def features() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(6, 4, 9, 9) * torch.arange(1, 7).view(6, 1, 1, 1) + torch.arange(6).view(6, 1, 1, 1) * 10


def test_only_mean_and_deviation_change_and_stay_between_those_of_two_images() -> None:
    before = features()
    after = mix_styles(before)
    assert torch.allclose(standardised(after), standardised(before), atol=1e-3)
    for statistic in (torch.mean, torch.std):
        mixed, own = statistic(after, (2, 3)), statistic(before, (2, 3))
        assert not torch.allclose(mixed, own, atol=0.1)
        assert (mixed >= own.amin(0) - 1e-3).all()
        assert (mixed <= own.amax(0) + 1e-3).all()


def test_gradients_flow_through_what_is_where() -> None:
    before = features().requires_grad_()
    mix_styles(before).sum().backward()
    assert before.grad is not None
    assert before.grad.abs().min() > 0


def test_stages_are_mixed_while_it_lasts_and_as_often_as_asked() -> None:
    stage, before = nn.Identity(), features()
    with mixed_styles([stage], 1.0):
        assert not torch.equal(stage(before), before)
    assert torch.equal(stage(before), before)
    with mixed_styles([stage], 0.3):
        mixed = sum(not torch.equal(stage(before), before) for _ in range(200))
    assert 30 < mixed < 90
    with mixed_styles([stage], 0.0):
        assert torch.equal(stage(before), before)
