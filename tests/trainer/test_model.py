"""The network's outputs, its ImageNet start and its learning rates."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

from trainer.labels import DatasetError
from trainer.model import freeze, load_start_weights, parameter_groups, set_training_mode
from trainer.runtime import network
from trainer.runtime.boxes import locations
from trainer.runtime.network import NO_LESION_LOGIT, BrainTumorClassifier


@pytest.mark.parametrize("size", [64, 96])
def test_output_shapes(size: int) -> None:
    output = BrainTumorClassifier().eval()(torch.rand(2, 1, size, size))
    count = len(locations(size))
    shapes = [tuple(part.shape) for part in output]
    assert shapes == [(2, 4), (2, 2048), (2, count, 4), (2, count, 4), (2, count)]
    assert (output.box_distances >= 0).all()


def test_the_real_body_is_resnet_50(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "resnet50", resnet50)
    body = sum(p.numel() for module in BrainTumorClassifier().body_modules() for p in module.parameters())
    assert body == 23_508_032


class TestImageNetStart:
    def test_the_body_is_filled(self, tmp_path: Path) -> None:
        body = network.resnet50(weights=None)
        state = {key: value.half() if value.is_floating_point() else value for key, value in body.state_dict().items()}
        save_file(state, tmp_path / "w.safetensors")
        model = BrainTumorClassifier()
        load_start_weights(model, tmp_path / "w.safetensors")
        assert torch.equal(model.stem[0].weight, body.conv1.weight.half().float())
        assert torch.equal(model.layer4[0].conv3.weight, body.layer4[0].conv3.weight.half().float())

    def test_other_weights_are_refused(self, tmp_path: Path) -> None:
        save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
        with pytest.raises(DatasetError, match="not torchvision ResNet-50 weights"):
            load_start_weights(BrainTumorClassifier(), tmp_path / "w.safetensors")

    def test_a_broken_file_is_named(self, tmp_path: Path) -> None:
        body = network.resnet50(weights=None)
        save_file(body.state_dict(), tmp_path / "w.safetensors")
        (tmp_path / "w.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:-1000])
        with pytest.raises(DatasetError, match=r"w\.safetensors cannot be read as safetensors \(.+\): --weights must"):
            load_start_weights(BrainTumorClassifier(), tmp_path / "w.safetensors")

    def test_weights_of_another_shape_are_refused_and_the_network_left_alone(self, tmp_path: Path) -> None:
        state = network.resnet50(weights=None).state_dict()
        save_file(state | {"conv1.weight": torch.zeros(8, 3, 7, 7)}, tmp_path / "w.safetensors")
        model = BrainTumorClassifier()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(DatasetError, match=r"of another shape \['stem\.0\.weight'\]"):
            load_start_weights(model, tmp_path / "w.safetensors")
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="--weights must name"):
            load_start_weights(BrainTumorClassifier(), tmp_path / "none.safetensors")


def test_frozen_stages_neither_learn_nor_count() -> None:
    model = BrainTumorClassifier()
    freeze(model, 2)
    set_training_mode(model, 2)
    assert not any(p.requires_grad for p in [*model.stem.parameters(), *model.layer1.parameters()])
    assert not model.stem.training
    assert model.layer2.training


def test_earlier_stages_learn_slower_and_everything_new_fastest() -> None:
    rates = [float(str(group["lr"])) for group in parameter_groups(BrainTumorClassifier(), 1e-3, 5e-3, 0.6)]
    assert rates == pytest.approx([1e-3, 6e-4, 3.6e-4, 2.16e-4, 1.296e-4, 5e-3])


def test_without_boxes_there_is_nothing_but_the_published_classifier() -> None:
    model = BrainTumorClassifier(boxes=False).eval()
    assert {name.split(".")[0] for name in model.state_dict()} == {
        "stem", "layer1", "layer2", "layer3", "layer4", "classifier",
    }  # fmt: skip
    images = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        ours, with_boxes = model(images), BrainTumorClassifier().eval()(images)
    assert [tensor.shape for tensor in ours] == [tensor.shape for tensor in with_boxes]
    assert ours.box_logits.max() == NO_LESION_LOGIT
