"""Made slices teach what is in them, and the same seed makes the same."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainer.counterfactual import SHARES, Counterfactuals, Origin, make_counterfactuals
from trainer.dataset import BrainTumorDataset
from trainer.labels import Split, list_samples
from trainer.runtime.records import NO_TUMOR_INDEX
from trainer.targets import NO_BOX, Target

SIDE = 160


def slice_with(box: list[float] | None, brightness: int, seed: int) -> torch.Tensor:
    """A grey disc with a darker middle, and a bright lesion in `box`."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    radius = torch.hypot(x - 79.5, y - 79.5)
    image = torch.where(radius < 66, 110.0, 0.0) - torch.where(radius < 20, 30.0, 0.0)
    image += torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 3 * (radius < 66)
    if box is not None:
        x1, y1, x2, y2 = box
        inside = (
            torch.hypot((x + 0.5 - (x1 + x2) / 2) / ((x2 - x1) / 2), (y + 0.5 - (y1 + y2) / 2) / ((y2 - y1) / 2)) <= 1
        )
        image[inside] = float(brightness)
    return image.clamp(0, 255).to(torch.uint8)[None]


@pytest.fixture
def dataset(data: Path, monkeypatch: pytest.MonkeyPatch) -> BrainTumorDataset:
    """Sixteen slices: twelve with a lesion at one of three places, four without."""
    dataset = BrainTumorDataset(list_samples(data, Split.VAL), 64)
    images, targets = [], []
    for index in range(len(dataset)):
        class_index = index % 4
        box = None if class_index == NO_TUMOR_INDEX else [40.0 + 12 * class_index, 44.0, 58.0 + 12 * class_index, 64.0]
        images.append(slice_with(box, 230, index))
        xyxy = torch.tensor([box] if box else []).view(-1, 4)
        channels = torch.full((len(xyxy),), min(class_index, 2), dtype=torch.int64)
        targets.append(Target(class_index, xyxy, channels, True))
    monkeypatch.setattr(dataset, "images", torch.stack(images))
    monkeypatch.setattr(dataset, "targets", type(dataset.targets).of(targets))
    return dataset


def made(dataset: BrainTumorDataset, seed: int = 1) -> Counterfactuals:
    found = make_counterfactuals(dataset, seed)
    assert found is not None
    return found


def test_every_kind_is_made(dataset: BrainTumorDataset) -> None:
    found = made(dataset)
    counts = Counter(found.origins)
    assert counts[Origin.ERASED] >= 6
    assert counts[Origin.PASTED] >= 6
    assert counts[Origin.DECOY] >= 1
    assert counts[Origin.RECONTRASTED] == 12
    assert found.images.shape == (len(found.origins), 1, SIDE, SIDE)
    assert found.images.dtype == torch.uint8
    assert f"{counts[Origin.ERASED]} erased" in found.summary


def test_an_erased_lesion_leaves_a_tumour_free_slice(dataset: BrainTumorDataset) -> None:
    found = made(dataset)
    for row, origin in enumerate(found.origins):
        if origin is Origin.ERASED:
            target = found.targets.one(row)
            assert (target.class_index, len(target.xyxy), target.complete) == (NO_TUMOR_INDEX, 0, True)
            assert found.images[row].max() < 170


def test_a_recontrasted_lesion_stays_where_it_is_and_looks_otherwise(dataset: BrainTumorDataset) -> None:
    found = made(dataset)
    rows = [row for row, origin in enumerate(found.origins) if origin is Origin.RECONTRASTED]
    tumors = [index for index in range(len(dataset)) if dataset[index][1].class_index != NO_TUMOR_INDEX]
    turned = 0
    for row, index in zip(rows, tumors, strict=True):
        image, target = dataset[index]
        assert torch.equal(found.targets.one(row).xyxy, target.xyxy)
        assert found.targets.one(row).class_index == target.class_index
        x1, y1, x2, y2 = target.xyxy[0].int().tolist()
        middle = slice((y1 + y2) // 2 - 2, (y1 + y2) // 2 + 2), slice((x1 + x2) // 2 - 2, (x1 + x2) // 2 + 2)
        before, after = image[0][middle].float().mean(), found.images[row, 0][middle].float().mean()
        assert 0 < after < before - 30
        turned += int(after < 100)
    assert 4 <= turned < 12


def test_every_origin_is_drawn_by_its_share(dataset: BrainTumorDataset) -> None:
    found = made(dataset)
    assert found.weights.sum() == pytest.approx(1.0)
    for origin, share in SHARES.items():
        of_it = torch.tensor([each is origin for each in found.origins])
        assert found.weights[of_it].sum() == pytest.approx(share)


def test_a_pasted_lesion_is_where_its_box_is_and_gives_the_class(dataset: BrainTumorDataset) -> None:
    found = made(dataset)
    for row, origin in enumerate(found.origins):
        if origin is Origin.PASTED:
            target = found.targets.one(row)
            assert target.class_index != NO_TUMOR_INDEX
            assert target.channels.tolist() == [min(target.class_index, 2)]
            (x, y) = ((target.xyxy[0, :2] + target.xyxy[0, 2:]) / 2).round().int().tolist()
            centre = found.images[row, 0, y - 2 : y + 3, x - 2 : x + 3].float().mean()
            assert abs(centre - slice_with(None, 0, 0)[0, y, x]) > 12


def test_a_decoy_teaches_what_the_slice_taught(dataset: BrainTumorDataset) -> None:
    found = made(dataset)
    decoys = [row for row, origin in enumerate(found.origins) if origin is Origin.DECOY]
    visible = 0
    for row in decoys:
        changes = [(found.images[row].int() - image.int()).abs() > 0 for image in dataset.images]
        source = min(range(len(dataset)), key=lambda index: int(changes[index].sum()))
        taught, target = dataset.targets.one(source), found.targets.one(row)
        assert (target.class_index, target.xyxy.tolist()) == (taught.class_index, taught.xyxy.tolist())
        changed = changes[source][0]
        assert int(changed.sum()) < changed.numel() / 10
        visible += bool(changed.any())
        for x1, y1, x2, y2 in taught.xyxy.round().int().tolist():
            assert changed[y1:y2, x1:x2].float().mean() < 0.1
    assert visible > len(decoys) / 2  # one may fall into the air


def test_the_seed_decides_and_the_rest_of_the_training_does_not_notice(dataset: BrainTumorDataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = made(dataset, 1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.images, made(dataset, 1).images)
    other = made(dataset, 2)
    assert one.images.shape != other.images.shape or not torch.equal(one.images, other.images)


def test_none_are_made_where_no_lesion_is_marked(dataset: BrainTumorDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    unmarked = replace(dataset.targets, channels=torch.full_like(dataset.targets.channels, NO_BOX))
    monkeypatch.setattr(dataset, "targets", unmarked)
    assert make_counterfactuals(dataset, 1) is None
