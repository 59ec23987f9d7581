"""How sure a figure is: 95 % intervals of shares and of other statistics, look-alikes counted together. No torch.

Look-alikes are answered alike, so a group of them says less than as many images that differ. A share's interval is
Wilson's of an effective sample size; a statistic that is no share is drawn anew from whole groups.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Interval = tuple[float, float]

RESAMPLES = 400
"""Bootstrap resamples: the ends of an interval are then the 10th value from either side."""
SEED = 0
_Z95 = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval, all within 0..1."""

    value: float
    low: float
    high: float


def wilson_interval(right: float, total: float) -> Interval:
    """95 % interval of a share (Wilson, 1927): honest for small numbers and near 1, where the plain one is not.

    Args:
        right: of `total`, how many count.
        total: how many there are; no whole number where it is an effective sample size.
    """
    if total == 0:
        return 0.0, 1.0
    share, z2 = right / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    # exact where the formula is, not a rounding error short of it
    return 0.0 if right == 0 else centre - half, 1.0 if right == total else centre + half


def effective_size(counted: BoolArray, groups: IntArray) -> float:
    """How many unrelated images would tell as much about the share of `counted` as these do.

    The number of images divided by the design effect of their groups, which is taken to be at least 1 (Rao and Scott,
    1992, Biometrics 48:577; Wilson's interval of it: Franco et al., 2019, J. Surv. Stat. Methodol. 7:334). Where all or
    none count, nothing is seen of how alike the images of a group are: then they are taken to be one picture, Kish's
    (1965) design effect for a correlation of 1.

    Args:
        counted: `(n,)`, n at least 1.
        groups: `(n,)` group number of each.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    total, group_count = len(counted), len(sizes)
    if group_count == total:
        return total
    share = float(counted.mean())
    if share in (0.0, 1.0) or group_count == 1:
        return total**2 / float((sizes**2).sum())
    # variance of a ratio estimate over groups drawn whole, by that of as many unrelated images
    residuals = np.bincount(np.unique(groups, return_inverse=True)[1], counted - share)
    variance = group_count / (group_count - 1) * float((residuals**2).sum()) / total**2
    return total / max(1.0, variance / (share * (1 - share) / (total - 1)))


@dataclass(frozen=True)
class Shares:
    """Counts shares of some images.

    Attributes:
        groups: `(n,)` look-alike group of each; all different where they are unrelated.
    """

    groups: IntArray

    def estimate(self, counted: BoolArray, among: BoolArray | None = None) -> Estimate | None:
        """The share of `counted` `(n,)` among the images of `among` `(n,)`, all by default; `None` of nothing."""
        chosen = np.ones(len(counted), np.bool_) if among is None else among
        if not chosen.any():
            return None
        share = float(counted[chosen].mean())
        size = effective_size(counted[chosen], self.groups[chosen])
        return Estimate(share, *wilson_interval(share * size, size))


def group_resamples_of(groups: IntArray, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[IntArray]:
    """Draw whole groups with replacement, as many as there are: index arrays of varying length, the same every time.

    The cluster bootstrap; over images (Efron, 1979) where every image is its own group. Two statistics over the same
    draws can be compared.

    Args:
        groups: `(n,)` group number of every image.
        resamples: how many draws.
        seed: of the draws.
    """
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.concatenate([members[group] for group in generator.integers(0, len(members), len(members))])


def percentile_estimate(value: float | None, resampled: Sequence[float | None]) -> Estimate | None:
    """A statistic with the middle 95 % of its values on resamples, those without a value left out.

    Returns:
        `None` when it has no value; an interval from 0 to 1 when no resample has.
    """
    if value is None:
        return None
    known = [each for each in resampled if each is not None]
    low, high = np.percentile(known, [2.5, 97.5]) if known else (0.0, 1.0)
    return Estimate(value, float(low), float(high))


def basic_estimate(value: float, resampled: Sequence[float]) -> Estimate:
    """A statistic with its basic ("reverse percentile") bootstrap interval, cut at 0 and 1.

    For a statistic that a resample makes larger on average, as it does a mean of distances: the interval leans the
    other way by as much, and may end below `value`, which is itself too large (Davison and Hinkley, 1997, section 5.2).
    """
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(value, *(float(np.clip(2 * value - end, 0.0, 1.0)) for end in (high, low)))
