"""From stored values to the grey values a radiologist would see: rescale, VOI window, MONOCHROME1, 8 bits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from trainer.runtime.records import GreyImage
from worker.intake.elements import integer_of, numbers_of, text_of, texts_of
from worker.intake.facts import HeaderFacts
from worker.intake.grey import FloatVector, GreyLevels, percentile_range, ramp

# Below this share of tissue between black and white a window was meant for other pixels (a conversion rescaled them
# and kept the header) and shows a silhouette. Windows of scanners leave 0.39 to 1.00 in our test series, the low end
# where most of a slice is noise; one of another scale left 0.09.
_MIN_VISIBLE_SHARE = 0.15

WINDOW_REPLACED = "The display window of the header does not fit the pixels and was replaced by their own range."


@dataclass(frozen=True)
class Window:
    """VOI window in rescaled units (PS3.3 C.11.2.1.2). `function` is LINEAR, LINEAR_EXACT or SIGMOID."""

    center: float
    width: float
    function: str = "LINEAR"

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


def render(dataset: Dataset, facts: HeaderFacts, levels: GreyLevels) -> tuple[GreyImage, str | None]:
    """Render stored values for display.

    Returns:
        `(rows, columns)` uint8 in MONOCHROME2 sense, and a warning when the header's window was not used although it
        has one. A VOI LUT sequence is not used: it is rare in MR, and the range of the pixels replaces it.
    """
    values = levels.values * facts.rescale_slope + facts.rescale_intercept
    padding = integer_of(dataset, "PixelPaddingValue")
    tissue = levels.foreground(padding)
    table = next((t for w in windows_of(dataset) if _shows_tissue(t := w.table(values), tissue)), None)
    warning = None
    if table is None:
        low, high = percentile_range(levels, padding)
        ends = sorted(end * facts.rescale_slope + facts.rescale_intercept for end in (low, high))
        table = ramp(values, ends[0], ends[1])
        warning = WINDOW_REPLACED if text_of(dataset, "WindowWidth") else None
    if facts.photometric == "MONOCHROME1":
        table = np.uint8(255) - table
    return levels.render(table), warning


def _shows_tissue(table: npt.NDArray[np.uint8], tissue: npt.NDArray[np.int64]) -> bool:
    """Whether enough of the tissue pixels become neither black nor white."""
    visible = tissue[(table > 0) & (table < 255)].sum()
    return bool(visible >= _MIN_VISIBLE_SHARE * tissue.sum())
