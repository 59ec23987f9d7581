"""What an image looks like apart from what it shows: how bright its pixels are, which differs between sequences."""

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from torch import Tensor

from trainer.runtime.preprocess import AIR_BELOW

LOOKS = 6
"""Groups of looks within a class."""
SHARES = np.arange(0.1, 0.91, 0.1)
SEED = 1


def brightness_distribution(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Brightness that a tenth, two tenths … of the head's pixels stay below, `(9,)` in units of the bright end.

    Args:
        image: `(h, w)`.
    """
    bright_end = max(1.0, float(np.quantile(image, 0.99)))
    values = image[image > AIR_BELOW * bright_end]
    return np.quantile(values, SHARES) / bright_end if values.size else np.zeros(len(SHARES))


def look_groups(images: Tensor, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number `(n,)` of each image's class and look: k-means of the brightness distributions within a class.

    Args:
        images: `(n, 1, s, s)` uint8.
        classes: `(n,)` class indices.
    """
    distributions = np.stack([brightness_distribution(image) for image in images[:, 0].cpu().numpy()])
    groups = np.zeros(len(classes), np.int64)
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        looks = KMeans(min(LOOKS, len(np.unique(distributions[members], axis=0))), random_state=SEED, n_init=4)
        groups[members] = number * LOOKS + looks.fit_predict(distributions[members])
    return groups
