"""Grey values of more than 8 bits to 8 bits, and what is too empty to be read."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from trainer.runtime.records import GreyImage

FloatVector = npt.NDArray[np.float64]
StoredImage = npt.NDArray[np.integer]

_COUNT_CHUNK = 1 << 20

# Half a percent at both ends is what radiology viewers clip by default: a vessel or a spike of a few pixels must not
# turn the brain dark, and the training pictures were exported from such viewers.
LOW_PERCENTILE = 0.5
HIGH_PERCENTILE = 99.5

# Magnitude noise has a Rayleigh distribution, whose standard deviation is 0.52 of its mean; noise with all values alike
# often has 0.58. A head and the air around it have 0.79 and more in our test series.
_NOISE_DEVIATION = 0.65
# Behind the last slice of a head many scanners write zeros with a little noise in them. Slices of heads have values in
# 0.35 of their pixels and more.
_LEAST_FOREGROUND = 0.2

# A picture whose middle 99.8 % is one value shows nothing: a hot pixel or a burnt-in dot is not an image.
_BLANK_TAIL_PERCENT = 0.1


@dataclass(frozen=True)
class Histogram:
    """How often each possible stored value occurs, in one picture or in several.

    Attributes:
        values: `(n,)` float64, ascending.
        counts: `(n,)` int64, pixels with each value.
    """

    values: FloatVector
    counts: npt.NDArray[np.int64]

    def __add__(self, other: Self) -> Self:
        """Of both together; their pixels are of one type."""
        return replace(self, counts=self.counts + other.counts)

    def distinct(self) -> int:
        """Return how many different values occur."""
        return int(np.count_nonzero(self.counts))

    def spread(self) -> float:
        """Return the span of stored values between the 0.1st and the 99.9th percentile of all pixels."""
        low, high = self.percentiles(_BLANK_TAIL_PERCENT, 100 - _BLANK_TAIL_PERCENT)
        return high - low

    def foreground(self, padding: int | None = None) -> npt.NDArray[np.int64]:
        """Return `counts` without air: stored zero (what every vendor's mask writes) and the padding value.

        All counts are returned where nothing else would be left.
        """
        kept = self.counts.copy()
        kept[self.values == 0] = 0
        if padding is not None:
            kept[self.values == padding] = 0
        return kept if kept.any() else self.counts

    def looks_like_air(self, padding: int | None = None) -> bool:
        """Whether this may be noise and zeros alone, as beside a head; a part of a head without air can look so too."""
        if self.foreground(padding).sum() < _LEAST_FOREGROUND * self.counts.sum():
            return True
        found = np.flatnonzero(self.counts)
        above_lowest, counts = self.values[found] - self.values[found[0]], self.counts[found]
        mean = float(np.average(above_lowest, weights=counts))
        variance = float(np.average((above_lowest - mean) ** 2, weights=counts))
        return variance <= (_NOISE_DEVIATION * mean) ** 2

    def percentiles(self, low: float, high: float, counts: npt.NDArray[np.int64] | None = None) -> tuple[float, float]:
        """Return the stored values at two percentiles (0..100) of the pixels in `counts`, by default of all."""
        cumulative = np.cumsum(self.counts if counts is None else counts)
        wanted = np.array([low, high]) / 100 * cumulative[-1]
        positions = np.minimum(np.searchsorted(cumulative, np.maximum(wanted, 1)), len(self.values) - 1)
        return float(self.values[positions[0]]), float(self.values[positions[1]])


@dataclass(frozen=True)
class GreyLevels:
    """An integer picture as indices into its possible stored values.

    Attributes:
        index: `(rows, columns)` uint8 or uint16, stored value minus the smallest value of its type.
        histogram: of the picture; `index` counts its `values`.
    """

    index: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    histogram: Histogram

    def render(self, table: npt.NDArray[np.uint8]) -> GreyImage:
        """Look every pixel up in a `(n,)` uint8 table: a transform costs 65,536 values, not one per pixel."""
        return table[self.index]


def levels_of(stored: StoredImage) -> GreyLevels:
    """Index a `(rows, columns)` picture of 8- or 16-bit integers, signed or not, native byte order."""
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    lowest = int(np.iinfo(stored.dtype).min)
    # Flipping the sign bit maps -32768..32767 onto 0..65535 in order, without a wider copy.
    index = np.ascontiguousarray(stored).view(unsigned) ^ unsigned.type(-lowest)
    size = 1 << 8 * stored.dtype.itemsize
    counts = np.zeros(size, np.int64)
    flat = index.reshape(-1)
    for start in range(0, flat.size, _COUNT_CHUNK):  # bincount makes an int64 copy of what it is given
        counts += np.bincount(flat[start : start + _COUNT_CHUNK], minlength=size)
    return GreyLevels(index, Histogram(np.arange(lowest, lowest + size, dtype=np.float64), counts))


def percentile_range(histogram: Histogram, padding: int | None = None) -> tuple[float, float]:
    """Return the stored values to show as black and as white.

    Zero pixels are left out: the share of air around the head differs from 20 to 70 % between scans, and with it the
    percentiles would depend on the field of view instead of on the tissue.
    """
    low, high = histogram.percentiles(LOW_PERCENTILE, HIGH_PERCENTILE, histogram.foreground(padding))
    if high <= low:
        low, high = histogram.percentiles(0, 100)
    return low, high


def ramp(values: FloatVector, low: float, high: float) -> npt.NDArray[np.uint8]:
    """Map `values` linearly so that `low` becomes 0 and `high` 255, clipped, rounded. `high` must exceed `low`."""
    scaled = np.clip((values - low) / (high - low), 0.0, 1.0) * 255
    return np.rint(scaled).astype(np.uint8)
