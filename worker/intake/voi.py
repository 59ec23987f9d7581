"""From stored values to the grey values a radiologist would see: rescale, VOI window, MONOCHROME1, 8 bits."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.domain import GreyRange
from worker.intake.elements import number_of, numbers_of, text_of, texts_of
from worker.intake.grey import FloatVector, Histogram, percentile_range, ramp

# Below this share of tissue between black and white a window was meant for other pixels (a conversion rescaled them
# and kept the header) and shows a silhouette. Windows of scanners leave 0.39 to 1.00 in our test series, the low end
# where most of a slice is noise; one of another scale left 0.09.
_MIN_VISIBLE_SHARE = 0.15

# MR intensities have no unit, so that any scale is legal; above this bound they are a damaged header and not a scale.
_MAX_RESCALE = 1e9

WINDOW_REPLACED = "The display window of the header does not fit the pixels and was replaced by their own range."


@dataclass(frozen=True)
class Window:
    """VOI window in rescaled units (PS3.3 C.11.2.1.2). `function` is LINEAR, LINEAR_EXACT or SIGMOID."""

    center: float
    width: float
    function: str = "LINEAR"

    @property
    def grey_range(self) -> GreyRange:
        """Where it begins and ends; of a SIGMOID, which does neither, the line through its steepest part."""
        if self.function != "LINEAR":
            return GreyRange(self.center - self.width / 2, self.center + self.width / 2)
        half = max(self.width - 1, 1) / 2
        return GreyRange(self.center - 0.5 - half, self.center - 0.5 + half)

    def table(self, values: FloatVector) -> npt.NDArray[np.uint8]:
        """Map `(n,)` rescaled values to `(n,)` uint8."""
        if self.function == "SIGMOID":
            exponent = np.clip(-4 * (values - self.center) / self.width, -60.0, 60.0)  # exp must not overflow
            return np.rint(255 / (1 + np.exp(exponent))).astype(np.uint8)
        if self.function == "LINEAR_EXACT":
            return ramp(values, self.center - self.width / 2, self.center + self.width / 2)
        if self.width == 1:  # C.11.2.1.2.1: a threshold, without a division by width - 1
            return np.where(values > self.center - 0.5, 255, 0).astype(np.uint8)
        half = (self.width - 1) / 2
        return ramp(values, self.center - 0.5 - half, self.center - 0.5 + half)


def windows_of(dataset: Dataset) -> tuple[Window, ...]:
    """Return the usable windows of a header in its order; zero, negative, NaN and lone values are left out."""
    centers = numbers_of(dataset, "WindowCenter") or ()
    widths = numbers_of(dataset, "WindowWidth") or ()
    function = (texts_of(dataset, "VOILUTFunction") or ("LINEAR",))[0]
    # LINEAR is defined for widths of at least 1, the other functions for any positive width.
    least = 1.0 if function == "LINEAR" else np.finfo(np.float32).tiny
    pairs = zip(centers, widths, strict=False)
    return tuple(Window(center, width, function) for center, width in pairs if width >= least)


@dataclass(frozen=True)
class Rescale:
    """Modality transform of stored values (PS3.3 C.11.1)."""

    slope: float
    intercept: float

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Read it; 1 and 0 where absent, NaN where it is not a number."""
        return cls(number_of(dataset, "RescaleSlope", absent=1.0), number_of(dataset, "RescaleIntercept", absent=0.0))

    @property
    def is_usable(self) -> bool:
        """Slope finite, not zero; both of a size that keeps grey values apart (C.11.1.1.2)."""
        return math.isfinite(self.slope) and 0 < abs(self.slope) < _MAX_RESCALE and abs(self.intercept) < _MAX_RESCALE


@dataclass(frozen=True)
class Display:
    """How stored values become grey values.

    Attributes:
        table: `(n,)` uint8 grey value of each stored value, MONOCHROME2 sense.
        grey_range: what the table shows black and white.
        warning: when the header's window was not used although it has one.
    """

    table: npt.NDArray[np.uint8]
    grey_range: GreyRange
    warning: str | None = None


def display_by(grey_range: GreyRange, frame: Dataset, photometric: str | None, values: FloatVector) -> Display:
    """Show a range that is given, for example that of a series: of stored values `(n,)`; the rest as `display_of`."""
    rescale = Rescale.of(frame)
    table = ramp(values * rescale.slope + rescale.intercept, grey_range.black, grey_range.white)
    return Display(_in_sense(table, photometric), grey_range)


def display_of(frame: Dataset, photometric: str | None, padding: int | None, histogram: Histogram) -> Display:
    """Choose the first window of a header that shows tissue, or the range of the pixels.

    A VOI LUT sequence is not used: it is rare in MR, and the range of the pixels replaces it.

    Args:
        frame: usable rescale and windows, as `frames.frame_datasets` gives them.
        photometric: MONOCHROME1 or MONOCHROME2.
        padding: PixelPaddingValue.
        histogram: of all pixels that are to be shown alike.
    """
    rescale = Rescale.of(frame)
    values = histogram.values * rescale.slope + rescale.intercept
    tissue = histogram.foreground(padding)
    for window in windows_of(frame):
        table = window.table(values)
        if _shows_tissue(table, tissue):
            return Display(_in_sense(table, photometric), window.grey_range)
    black, white = sorted(end * rescale.slope + rescale.intercept for end in percentile_range(histogram, padding))
    warning = WINDOW_REPLACED if text_of(frame, "WindowWidth") else None
    return Display(_in_sense(ramp(values, black, white), photometric), GreyRange(black, white), warning)


def _in_sense(table: npt.NDArray[np.uint8], photometric: str | None) -> npt.NDArray[np.uint8]:
    """Turn a table into MONOCHROME2 sense."""
    return np.uint8(255) - table if photometric == "MONOCHROME1" else table


def _shows_tissue(table: npt.NDArray[np.uint8], tissue: npt.NDArray[np.int64]) -> bool:
    """Whether enough of the tissue pixels become neither black nor white."""
    visible = tissue[(table > 0) & (table < 255)].sum()
    return bool(visible >= _MIN_VISIBLE_SHARE * tissue.sum())
