"""TestAssigner: who answers for which box; TestLosses: what is learnt from, and that it can be learnt."""

import pytest
import torch
from torch import Tensor

from trainer.losses import Assignment, BoxAssigner, losses
from trainer.runtime.network import BrainTumorClassifier, NetworkTensors
from trainer.runtime.records import GLAND_CHANNEL
from trainer.targets import Target, Targets

SIZE = 64
ASSIGNER = BoxAssigner(SIZE, torch.device("cpu"))


def assign(target: Target) -> Assignment:
    """To one image alone: `(l,)`, `(l, 4)`, `(l,)`."""
    assigned = ASSIGNER.assign(Targets.of([target]))
    return Assignment(assigned.channels[0], assigned.distances[0], assigned.centreness[0])


def target(*boxes: list[float], channel: int = 0, complete: bool = True, class_index: int = 0) -> Target:
    return Target(
        class_index, torch.tensor(boxes).view(-1, 4), torch.full((len(boxes),), channel, dtype=torch.int64), complete
    )


def random_output(count: int) -> NetworkTensors:
    locations = len(ASSIGNER.centres)

    def noise(*shape: int) -> Tensor:
        return torch.randn(count, *shape, requires_grad=True)

    return NetworkTensors(noise(4), noise(8), noise(locations, 4), noise(locations, 4).exp(), noise(locations))


class TestAssigner:
    def test_a_small_box_belongs_to_the_finest_level_around_its_centre(self) -> None:
        assigned = assign(target([20.0, 20.0, 36.0, 36.0]))
        positive = assigned.channels >= 0
        assert positive.any()
        assert (ASSIGNER.strides[positive] == 8).all()
        assert ((ASSIGNER.centres[positive] - 28).abs() <= 12).all()

    def test_distances_lead_back_to_the_box(self) -> None:
        assigned = assign(target([8.0, 4.0, 50.0, 60.0], channel=2))
        rows = assigned.channels == 2
        corners = torch.cat(
            [
                ASSIGNER.centres[rows] - assigned.distances[rows, :2],
                ASSIGNER.centres[rows] + assigned.distances[rows, 2:],
            ],
            1,
        )
        assert torch.allclose(corners, torch.tensor([8.0, 4.0, 50.0, 60.0]).expand_as(corners))

    def test_centreness_is_highest_in_the_middle(self) -> None:
        assigned = assign(target([16.0, 16.0, 40.0, 40.0]))
        middle = (ASSIGNER.centres - 28).abs().amax(1) < 1
        assert (assigned.centreness[middle] > 0.9).all()

    def test_the_smaller_of_two_boxes_wins(self) -> None:
        both = Target(
            0, torch.tensor([[4.0, 4.0, 60.0, 60.0], [24.0, 24.0, 40.0, 40.0]]), torch.tensor([0, GLAND_CHANNEL]), True
        )
        assigned = assign(both)
        finest_middle = (ASSIGNER.strides == 8) & ((ASSIGNER.centres - 32).abs().amax(1) < 5)
        assert (assigned.channels[finest_middle] == GLAND_CHANNEL).all()

    def test_padding_is_no_box(self) -> None:
        targets = Targets.of([target([8.0, 4.0, 50.0, 60.0], [20.0, 20.0, 36.0, 36.0]), target([8.0, 4.0, 50.0, 60.0])])
        together, alone = ASSIGNER.assign(targets), assign(target([8.0, 4.0, 50.0, 60.0]))
        assert torch.equal(together.channels[1], alone.channels)
        positive = alone.channels >= 0
        assert torch.equal(together.distances[1][positive], alone.distances[positive])

    def test_no_box_no_positive(self) -> None:
        assert (assign(target()).channels == -1).all()


class TestLosses:
    def test_incomplete_images_teach_no_boxes(self) -> None:
        output = random_output(2)
        parts = losses(output, Targets.of([target(complete=False), target(complete=False)]), ASSIGNER, 0.0)
        assert (parts.focal.item(), parts.box.item(), parts.centreness.item()) == (0.0, 0.0, 0.0)
        assert parts.classification.item() > 0

    def test_an_incomplete_image_changes_nothing_for_its_neighbour(self) -> None:
        output = random_output(2)
        learnt = target([9.0, 9.0, 30.0, 30.0])
        alone = losses(NetworkTensors(*(part[:1] for part in output)), Targets.of([learnt]), ASSIGNER, 0.0)
        beside = losses(output, Targets.of([learnt, target(complete=False)]), ASSIGNER, 0.0)
        assert beside.focal.item() == pytest.approx(alone.focal.item())
        assert beside.box.item() == pytest.approx(alone.box.item())

    def test_healthy_images_teach_that_there_is_no_box(self) -> None:
        output = random_output(1)
        parts = losses(output, Targets.of([target(class_index=2)]), ASSIGNER, 0.0)
        parts.total().backward()
        assert parts.focal.item() > 0
        assert output.box_logits.grad is not None
        assert (output.box_logits.grad >= 0).all()

    def test_perfect_boxes_cost_nothing(self) -> None:
        wanted = target([8.0, 4.0, 50.0, 60.0])
        assigned = assign(wanted)
        output = random_output(1)._replace(box_distances=assigned.distances[None])
        assert losses(output, Targets.of([wanted]), ASSIGNER, 0.0).box.item() == pytest.approx(0.0, abs=1e-6)

    def test_one_batch_can_be_learnt_by_heart(self) -> None:
        images = torch.rand(8, 1, SIZE, SIZE) * 0.3
        targets = []
        for index in range(8):
            x, y, label = 6.0 + 4 * index, 10.0 + 3 * index, index % 4
            if label == 2:
                targets.append(target(class_index=2))
                continue
            images[index, 0, int(y) : int(y) + 20, int(x) : int(x) + 24] = 0.5 + label / 6
            targets.append(target([x, y, x + 24, y + 20], channel=min(label, 2), class_index=label))
        model = BrainTumorClassifier(dropout=0.0).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        totals = []
        for _ in range(40):
            parts = losses(model(images), Targets.of(targets), ASSIGNER, 0.0)
            optimizer.zero_grad()
            parts.total().backward()
            optimizer.step()
            totals.append(parts.total().item())
        assert totals[-1] < 0.45 * totals[0]
        assert parts.classification.item() < 0.1
