"""How a header wants its pixels shown: windows and VOI lookup tables (PS3.3 C.11.2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.processing import apply_voi

from worker.domain import GreyRange
from worker.intake.elements import VALUE_ERRORS, items_of, numbers_of, texts_of
from worker.intake.grey import FloatVector

Tone = Callable[[FloatVector], FloatVector]
"""Brightness along a range of values: `(n,)` places, 0 at its black and 1 at its white end, to `(n,)` within 0..1."""


def linear(places: FloatVector) -> FloatVector:
    """LINEAR and LINEAR_EXACT (C.11.2.1.2.1, C.11.2.1.3.2)."""
    return np.clip(places, 0.0, 1.0)


def sigmoid(places: FloatVector) -> FloatVector:
    """SIGMOID (C.11.2.1.3.1); its range is where the line through its steepest part would begin and end."""
    exponent = np.clip(-4 * (places - 0.5), -60.0, 60.0)  # exp must not overflow
    return np.asarray(1 / (1 + np.exp(exponent)), np.float64)


@dataclass(frozen=True)
class View:
    """One way to show a picture, in rescaled units: which values, and how bright between them."""

    grey_range: GreyRange
    tone: Tone = linear

    def table(self, values: FloatVector) -> npt.NDArray[np.uint8]:
        """Map `(n,)` rescaled values to `(n,)` uint8, rounded. The range must have a width."""
        black, white = self.grey_range.black, self.grey_range.white
        return np.rint(self.tone((values - black) / (white - black)) * 255).astype(np.uint8)

    def over(self, grey_range: GreyRange) -> Self:
        """The same brightness along another range."""
        return replace(self, grey_range=grey_range)


def has_width(grey_range: GreyRange) -> bool:
    """Whether a range can be told from a point, in doubles too: 1e20 ± 1 cannot."""
    return bool(np.isfinite(grey_range.white - grey_range.black)) and grey_range.black < grey_range.white


def views_of(dataset: Dataset, frame: Dataset) -> tuple[View, ...]:
    """Return the usable views of a header in the order in which they are tried: windows, then the first lookup table.

    Windows go first where there are both, which the standard leaves open (C.11.2.1.2): the windows of a series have a
    median, its tables have none.

    Args:
        dataset: the object's header.
        frame: of the frame that is judged (`frames.frame_datasets`).
    """
    lookup = _lookup_of(dataset)
    return (*_windows_of(frame), *((lookup,) if lookup is not None else ()))


def _windows_of(frame: Dataset) -> tuple[View, ...]:
    """Windows (C.11.2.1.2); zero, negative, NaN and lone values, and what has no width in doubles, are left out."""
    centers = numbers_of(frame, "WindowCenter") or ()
    widths = numbers_of(frame, "WindowWidth") or ()
    function = (texts_of(frame, "VOILUTFunction") or ("LINEAR",))[0]
    # LINEAR is defined for widths of at least 1, the other functions for any positive width.
    least = 0.0 if function in {"LINEAR_EXACT", "SIGMOID"} else 1.0
    tone = sigmoid if function == "SIGMOID" else linear
    pairs = zip(centers, widths, strict=False)
    ranges = [_range_of(center, width, function) for center, width in pairs if width >= least]
    return tuple(View(grey_range, tone) for grey_range in ranges if has_width(grey_range))


def _range_of(center: float, width: float, function: str) -> GreyRange:
    """Where a window begins and ends; LINEAR lies half a value lower and is one narrower (C.11.2.1.2.1).

    LINEAR of width 1 is a threshold, which for whole values a range of 1 is too.
    """
    if function in {"LINEAR_EXACT", "SIGMOID"}:
        return GreyRange(center - width / 2, center + width / 2)
    half = max(width - 1, 1) / 2
    return GreyRange(center - 0.5 - half, center - 0.5 + half)


def _lookup_of(dataset: Dataset) -> View | None:
    """Return the first table of VOI LUT Sequence (C.11.2.1.1), `None` where there is none that pydicom applies."""
    try:
        descriptor = (int(number) for item in items_of(dataset, "VOILUTSequence")[:1] for number in item.LUTDescriptor)
        entries, first, bits = descriptor
        entries = entries or 1 << 16  # 0 means 65,536, which 16 bits cannot say
        # pydicom counts entries in integers of their own width, so that those of more than 256 bytes would wrap.
        if entries < 2 or (bits <= 8 and entries > 1 << 8):
            return None
        outputs = apply_voi(np.arange(first, first + entries), dataset)
    except VALUE_ERRORS:
        return None
    heights = np.clip(outputs / ((1 << bits) - 1), 0.0, 1.0)
    places = np.linspace(0.0, 1.0, entries)
    return View(GreyRange(first, first + entries - 1), lambda wanted: np.interp(wanted, places, heights))
