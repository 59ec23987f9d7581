"""Stress sets made from images at hand: the same heads as other sequences, scanners and hospitals would show them.

They stand in for scans of other hospitals, which stay a check, and promise more than these keep: training varies its
own images by the same functions (`trainer.augment`, `trainer.counterfactual`), so only the heads are new. Images that
a set is made from must be none the network was trained on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.augment import inverted, match_histograms, random_bias_field, random_contrast, strip_skulls
from trainer.counterfactual import Origin, make_counterfactuals
from trainer.dataset import BrainTumorTestDataset
from trainer.labels import Sample
from trainer.runtime.records import NO_TUMOR_INDEX, GreyImage
from trainer.targets import Targets

AS_THEY_ARE, LESIONS_MOVED, LESIONS_FAINT = "as they are", "lesions moved", "lesions faint or dark"
"""Names of the first set, and of the last two."""
SIDE = 256
"""Pixels."""
SEED = 20265


@dataclass(frozen=True)
class ShiftedSet:
    """Images and what they show.

    Attributes:
        images: `n` of `(s, s)` uint8.
        class_indices: `(n,)` index into `CLASSES`.
    """

    images: list[GreyImage]
    class_indices: npt.NDArray[np.int64]


def _matched_anyhow(images: Tensor) -> Tensor:
    return match_histograms(images, images[torch.randperm(len(images))])


LOOKS: Mapping[str, Callable[[Tensor, Targets], Tensor]] = {
    AS_THEY_ARE: lambda images, _: images,
    "inverted": lambda images, _: inverted(images),
    "skull-stripped": strip_skulls,
    "brightness of another": lambda images, _: _matched_anyhow(images),
    "contrast of no sequence": lambda images, _: random_contrast(images),
    "uneven coil": lambda images, _: random_bias_field(images).clamp(0, 1),
}


def _set_of(images: Tensor, classes: Tensor) -> ShiftedSet:
    """Of images `(n, 1, s, s)` uint8 and their classes `(n,)`."""
    return ShiftedSet(list(images[:, 0].numpy()), classes.numpy().astype(np.int64))


def shifted_sets(samples: Sequence[Sample], cut_to_head: bool) -> dict[str, ShiftedSet]:
    """The images in every look of `LOOKS`, and last, where lesions can be cut out, two sets of changed lesions.

    In `LESIONS_MOVED` tumours are in heads of tumour-free images, and tumour-free slices are tumour images with their
    lesions erased: who goes by the sequence and not by the lesion does worse than chance there. In `LESIONS_FAINT` the
    lesions of tumour images are fainter, or dark where they were bright; tumour-free images are as they are.

    Args:
        samples: the images' records.
        cut_to_head: whether the images are cut to the head, which the network does anyway.

    Raises:
        DatasetError: an image cannot be read.
    """
    dataset = BrainTumorTestDataset(samples, SIDE, cut_to_head)
    images, targets = dataset.images.float() / 255, dataset.targets
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        looks = {name: (look(images, targets) * 255).round().to(torch.uint8) for name, look in LOOKS.items()}
    sets = {name: _set_of(shown, targets.class_indices) for name, shown in looks.items()}
    made = make_counterfactuals(dataset, SEED)
    if made is not None:
        classes = made.targets.class_indices

        def are(*origins: Origin) -> Tensor:
            return torch.tensor([origin in origins for origin in made.origins])

        moved, faint = are(Origin.ERASED, Origin.PASTED), are(Origin.RECONTRASTED)
        healthy = targets.class_indices == NO_TUMOR_INDEX
        sets[LESIONS_MOVED] = _set_of(made.images[moved], classes[moved])
        sets[LESIONS_FAINT] = _set_of(
            torch.cat([made.images[faint], dataset.images[healthy]]),
            torch.cat([classes[faint], targets.class_indices[healthy]]),
        )
    return sets
