"""Which images an epoch sees, and where they are kept."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator

from trainer.batches import Batches, place_for, training_order
from trainer.dataset import BrainTumorDataset
from trainer.labels import Split, list_samples
from trainer.parallel import Processes
from trainer.recipes import DEFAULT, SEED


@pytest.fixture(scope="module")
def dataset(data: Path) -> BrainTumorDataset:
    return BrainTumorDataset(list_samples(data, Split.VAL), 64)


def order_of(dataset: BrainTumorDataset, seed: int, *, balanced: bool) -> torch.Tensor:
    recipe = replace(DEFAULT if balanced else SEED, batch_size=3)
    return training_order(dataset, recipe, Generator().manual_seed(seed))


def test_the_published_recipe_sees_every_image_once(dataset: BrainTumorDataset) -> None:
    order = order_of(dataset, 1, balanced=False)
    assert sorted(order.tolist()) == list(range(16))
    assert order.tolist() != sorted(order.tolist())


def test_a_balanced_epoch_is_whole_batches(dataset: BrainTumorDataset) -> None:
    assert len(order_of(dataset, 1, balanced=True)) == 15


@pytest.mark.parametrize("balanced", [True, False])
def test_the_seed_decides_the_order(dataset: BrainTumorDataset, balanced: bool) -> None:
    orders = [order_of(dataset, seed, balanced=balanced).tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_the_last_batch_is_smaller_but_never_one_image(dataset: BrainTumorDataset) -> None:
    assert [len(batch.targets) for batch in Batches(dataset, torch.arange(16), 7)] == [7, 7, 2]
    assert [len(batch.targets) for batch in Batches(dataset, torch.arange(15), 7)] == [7, 7]
    assert len(Batches(dataset, torch.arange(15), 7)) == 2


def test_processes_share_an_order_evenly() -> None:
    shares = [Processes(rank, 3).share(torch.arange(11)).tolist() for rank in range(3)]
    assert [len(share) for share in shares] == [3, 3, 3]
    assert len(set(itertools.chain(*shares))) == 9


@pytest.mark.parametrize(("free", "place"), [(10_000, "cuda"), (3_000, "cpu")])
def test_images_are_kept_on_the_gpu_when_they_fit(free: int, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 16_000))
    images = torch.zeros(1, 1, 50, 50, dtype=torch.uint8)
    assert place_for(images, torch.device("cuda")).type == place
    assert place_for(images, torch.device("cpu")).type == "cpu"
