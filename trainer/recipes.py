"""Everything that can be tuned, one frozen record a recipe."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Self

from trainer.augment import Augmentation


class Schedule(StrEnum):
    """How the learning rate moves: one cycle over all steps, or lower whenever the validation loss stands still."""

    ONE_CYCLE = "one_cycle"
    PLATEAU = "plateau"


@dataclass(frozen=True)
class Recipe:
    """A training recipe.

    Attributes:
        name: `default` or `seed`.
        size: side of the network input, pixels, a multiple of 32.
        epochs: passes over the training part at most.
        batch_size: images a step, of all processes together.
        held_out_share: share of Train kept for calibration or validation.
        body_rate: learning rate of layer4, of one cycle the highest.
        head_rate: the same of everything new.
        stage_rate_decay: each earlier body stage learns this much slower than the one behind it.
        weight_decay: AdamW's; without it AdamW is Adam.
        gradient_limit: longest gradient (its norm over all weights), `None` for no limit.
        dropout: share of the pooled features left out in training.
        label_smoothing: of the class loss.
        frozen_stages: how many of stem, layer1 … layer4 stay as ImageNet left them.
        ema_decay: of the weights that are kept; 0 keeps the last ones.
        boxes: whether the network has a box head.
        leak_filter: drop look-alikes of Val and repeats from Train, and hold out whole look-alike groups.
        balanced: draw rare classes more often; else every image once an epoch.
        balanced_looks: draw rare looks within a class more often too (`trainer.looks`); only where it balances.
        counterfactual_share: of the images drawn that are made (`trainer.counterfactual`); only where it balances.
        cut_to_head: show the network what is within the head's extent only.
        style_mixing: share of the steps in which early features take on the look of another image.
        plain_from: share of the epochs from which on there are no made slices, no other looks and no mixed styles.
        growing: `(from, share)`: from this share of the epochs on, images of this share of `size` are trained on.
        schedule: of the learning rate; `plateau` also stops early (`trainer.early_stopper`).
        plateau_patience: epochs without a lower validation loss before the rate is lowered.
        plateau_factor: what the rate is then multiplied with.
        augmentation: how far images are varied.
    """

    name: str
    size: int = 192
    epochs: int = 40
    batch_size: int = 32
    held_out_share: float = 0.06
    body_rate: float = 4e-4
    head_rate: float = 2e-3
    stage_rate_decay: float = 0.6
    weight_decay: float = 0.02
    gradient_limit: float | None = 5.0
    dropout: float = 0.2
    label_smoothing: float = 0.05
    frozen_stages: int = 2
    ema_decay: float = 0.995
    boxes: bool = True
    leak_filter: bool = True
    balanced: bool = True
    balanced_looks: bool = True
    counterfactual_share: float = 0.35
    cut_to_head: bool = True
    style_mixing: float = 0.5
    plain_from: float = 0.6
    growing: tuple[tuple[float, float], ...] = ((0.0, 2 / 3), (0.3, 5 / 6), (0.6, 1.0))
    schedule: Schedule = Schedule.ONE_CYCLE
    plateau_patience: int = 3
    plateau_factor: float = 0.5
    augmentation: Augmentation = field(default_factory=Augmentation)

    def at(self, progress: float) -> Self:
        """What is left of the recipe when `progress` (0..1) of the epochs is over."""
        if progress < self.plain_from:
            return self
        augmentation = replace(self.augmentation, looks=False)
        return replace(self, counterfactual_share=0.0, style_mixing=0.0, augmentation=augmentation)

    def size_at(self, progress: float) -> int:
        """Side of the training images, pixels, a multiple of 32, when `progress` (0..1) of the epochs is over."""
        share = [share for start, share in self.growing if progress >= start][-1]
        return max(32, round(self.size * share / 32) * 32)

    def as_json(self) -> dict[str, object]:
        """The recipe as it reads back from a JSON file (tuples are lists there)."""
        return dict(json.loads(json.dumps(asdict(self))))


DEFAULT = Recipe("default")
SEED = replace(
    DEFAULT,
    name="seed",
    size=224,
    epochs=100,
    held_out_share=0.2,
    body_rate=1e-3,
    head_rate=1e-3,
    stage_rate_decay=1.0,
    weight_decay=0.0,
    gradient_limit=None,
    dropout=0.0,
    label_smoothing=0.0,
    frozen_stages=0,
    ema_decay=0.0,
    boxes=False,
    leak_filter=False,
    balanced=False,
    balanced_looks=False,
    counterfactual_share=0.0,
    cut_to_head=False,
    style_mixing=0.0,
    plain_from=1.0,
    growing=((0.0, 1.0),),
    schedule=Schedule.PLATEAU,
    augmentation=Augmentation(
        max_rotation_degrees=30.0, scale_range=(1.0, 1.0), max_shift=0.0, brightness=False, looks=False
    ),
)
"""The published notebook, number by number (docs/training.md says where it was read and what differs)."""
INGREDIENTS: dict[str, Callable[[Recipe], Recipe]] = {
    "counterfactuals": lambda recipe: replace(recipe, counterfactual_share=0.0),
    "looks": lambda recipe: replace(recipe, augmentation=replace(recipe.augmentation, looks=False)),
    "style-mixing": lambda recipe: replace(recipe, style_mixing=0.0),
    "look-balance": lambda recipe: replace(recipe, balanced_looks=False),
    "plain-ending": lambda recipe: replace(recipe, plain_from=1.0),
    "cutting-to-head": lambda recipe: replace(recipe, cut_to_head=False),
    "growing": lambda recipe: replace(recipe, growing=((0.0, 1.0),)),
}
"""What can be left out of a recipe, to see what it is good for."""
RECIPES = {recipe.name: recipe for recipe in (DEFAULT, SEED)}
