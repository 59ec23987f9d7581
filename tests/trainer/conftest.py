"""A small data set made here, a small network, and a run and a model of them, once a session."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.resnet import Bottleneck, ResNet

from trainer import export, fit
from trainer.runtime import network
from trainer.runtime.records import CLASSES, GreyImage, TumorClass

SIDE = 96
TRAIN_PER_CLASS, VAL_PER_CLASS = 16, 4


def smooth_noise(generator: np.random.Generator) -> GreyImage:
    """A picture no other looks like: random brightness, 12 by 12, magnified."""
    coarse = generator.integers(10, 170, (12, 12), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BILINEAR)).copy()


def write_sample(folder: Path, name: str, label: TumorClass, generator: np.random.Generator) -> None:
    """An image with a bright box on one of four heights (none for No Tumor), and its YOLO line."""
    picture = smooth_noise(generator)
    index = CLASSES.index(label)
    x, y = int(generator.integers(10, 50)), 8 + 18 * index
    width, height = 28, 22
    if label is TumorClass.NO_TUMOR:
        line = f"{index} 0.5 0.5 0.96 0.96"
    else:
        picture[y : y + height, x : x + width] = 250
        line = f"{index} {(x + width / 2) / SIDE} {(y + height / 2) / SIDE} {width / SIDE} {height / SIDE}"
    Image.fromarray(picture).save(folder / label / "images" / f"{name}.png")
    (folder / label / "labels" / f"{name}.txt").write_text(line + "\n")


def write_split(folder: Path, per_class: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for label in CLASSES:
        for part in ("images", "labels"):
            (folder / label / part).mkdir(parents=True)
        for number in range(per_class):
            write_sample(folder, f"scan ({number})", label, generator)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and Val; one Val image is also in Train, and one Train image twice."""
    folder = tmp_path_factory.mktemp("data")
    write_split(folder / "Train", TRAIN_PER_CLASS, seed=1)
    write_split(folder / "Val", VAL_PER_CLASS, seed=2)
    glioma = folder / "Train" / "Glioma" / "images"
    shutil.copy(folder / "Val" / "Glioma" / "images" / "scan (0).png", glioma / "leak.png")
    shutil.copy(glioma / "scan (3).png", glioma / "twin.png")
    return folder


@contextmanager
def narrow_network() -> Iterator[None]:
    """ResNet with one narrow block a stage instead of ResNet-50: the same names and widths outside, a tenth inside."""

    def narrow(weights: None) -> ResNet:  # noqa: ARG001 - as torchvision calls it
        return ResNet(Bottleneck, [1, 1, 1, 1], width_per_group=8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "resnet50", narrow)
        yield


@pytest.fixture(scope="module", autouse=True)
def small_network() -> Iterator[None]:
    """For the tests of this folder alone: others of this process want the real one."""
    with narrow_network():
        yield


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Nets this small gain nothing from threads, and on busy cores the threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def run_folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `trainer.fit` leaves behind after two epochs on the small data set."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    options = ["--scratch", "--size", "64", "--epochs", "2", "--batch-size", "8"]
    with narrow_network():
        assert fit.main(["--data", str(data), *options, "--run", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def model_folder(data: Path, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run, exported."""
    with narrow_network():
        return export.export(run_folder, data, tmp_path_factory.mktemp("models") / "tiny-1")


@pytest.fixture
def own_model(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the model folder to damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "model"))
