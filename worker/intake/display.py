"""From stored values to grey values: a view of the header where it shows the picture, else the range of the pixels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from worker.domain import GreyRange
from worker.intake.grey import HIGH_PERCENTILE, LOW_PERCENTILE, Histogram, percentile_range
from worker.intake.rescale import Rescale
from worker.intake.voi import View, has_width, linear

# A view shows a picture when its tissue (pixels that are neither zero nor padding) is neither cut away nor squeezed;
# docs/dicom.md says where these numbers come from.
MIN_VISIBLE_SHARE = 0.15
MAX_WHITE_SHARE = 0.35
MIN_GREYS = 32

# A slice that its series would show black is of the same scale when its own range is at least and at most so many times
# that of the series: noise and the last shimmer of a head beside its end have 1 to 5 % of the brightness of the head.
_FAINTEST, _WIDEST = 0.01, 2.0

WINDOW_NOT_USED = "The display window of the header does not fit the pixels and was not used."
SCALED_UNLIKE_SERIES = "The image is scaled unlike the rest of its series and is shown by a window of its own."


@dataclass(frozen=True)
class Display:
    """How stored values become grey values.

    Attributes:
        table: `(n,)` uint8 grey value of each stored value, MONOCHROME2 sense.
        grey_range: what the table shows black and white.
        warning: when something else is shown than the header or the series asks for.
    """

    table: npt.NDArray[np.uint8]
    grey_range: GreyRange
    warning: str | None = None


@dataclass(frozen=True)
class Showable:
    """A picture, or the frames of one object, that is to be shown by one view.

    Attributes:
        rescale: usable, of all frames.
        views: of the header, in the order in which they are tried.
        names_window: whether the header names a window, usable or not.
        is_inverted: MONOCHROME1.
        padding: PixelPaddingValue.
        sample: histogram of the picture that views are judged by; of several frames the middle one.
        whole: counts the pixels of all frames, which decodes them.
    """

    rescale: Rescale
    views: tuple[View, ...]
    names_window: bool
    is_inverted: bool
    padding: int | None
    sample: Histogram
    whole: Callable[[], Histogram]

    def display(self, shown_by: GreyRange | None = None) -> Display:
        """Choose how to show it.

        Args:
            shown_by: the range of the series. It is followed unless it turns much of the tissue white, or all of it
                black and the picture's own range is so narrow or so wide that it cannot be of the same scale.
        """
        if shown_by is None or not has_width(shown_by):
            return self._own
        if self._suits(self.sample, shown_by) or self._suits(self.whole(), shown_by):
            tone = self._of_header.tone if self._of_header else linear
            return self._display(View(shown_by, tone), self._warning)
        own = self._own
        return own if own.grey_range == shown_by else replace(own, warning=SCALED_UNLIKE_SERIES)

    @cached_property
    def _of_header(self) -> View | None:
        """The first view of the header that shows the sample."""
        return next((view for view in self.views if self.look(self.sample, view).shows_picture), None)

    @cached_property
    def _own(self) -> Display:
        """As if it had no series."""
        view = self._of_header
        return self._display(view or View(self._pixel_range(self.whole())), self._warning)

    @property
    def _warning(self) -> str | None:
        """Air is dark by a window that was made for its series, which is right and needs no word."""
        if not self.names_window or self._of_header is not None:
            return None
        is_dark = any(self.look(self.sample, view).white <= MAX_WHITE_SHARE for view in self.views)
        return None if is_dark and self.sample.looks_like_air(self.padding) else WINDOW_NOT_USED

    def _suits(self, pixels: Histogram, grey_range: GreyRange) -> bool:
        look = self.look(pixels, View(grey_range))
        if look.white > MAX_WHITE_SHARE:
            return False
        if look.visible >= MIN_VISIBLE_SHARE:
            return True
        own = self._of_header.grey_range if self._of_header else self._pixel_range(pixels)
        width = (own.white - own.black) / (grey_range.white - grey_range.black)
        return width < _WIDEST and (width > _FAINTEST or pixels.looks_like_air(self.padding))

    def _pixel_range(self, pixels: Histogram) -> GreyRange:
        black, white = sorted(self.rescale.applied_to(np.array(percentile_range(pixels, self.padding))))
        return GreyRange(float(black), float(white))

    def look(self, pixels: Histogram, view: View) -> "Look":
        """What a view makes of the tissue in these pixels."""
        tissue = pixels.foreground(self.padding)
        found = np.flatnonzero(tissue)  # some thousand of 65,536 possible values
        greys = self._in_sense(view.table(self.rescale.applied_to(pixels.values[found])))
        shares = np.bincount(greys, weights=tissue[found], minlength=256)
        return Look(shares / shares.sum())

    def _display(self, view: View, warning: str | None = None) -> Display:
        table = view.table(self.rescale.applied_to(self.sample.values))
        return Display(self._in_sense(table), view.grey_range, warning)

    def _in_sense(self, greys: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn grey values into MONOCHROME2 sense."""
        return np.uint8(255) - greys if self.is_inverted else greys


@dataclass(frozen=True)
class Look:
    """What a view makes of tissue.

    Attributes:
        greys: `(256,)` float64, the share of the tissue with each grey value.
    """

    greys: npt.NDArray[np.float64]

    @property
    def white(self) -> float:
        """Share that is quite white."""
        return float(self.greys[255])

    @property
    def visible(self) -> float:
        """Share that is neither quite black nor quite white."""
        return float(self.greys[1:255].sum())

    @property
    def spread(self) -> int:
        """How many grey values the tissue is spread over, from the darkest to the brightest half percent."""
        ends = np.searchsorted(np.cumsum(self.greys), [LOW_PERCENTILE / 100, HIGH_PERCENTILE / 100])
        return int(ends[1] - ends[0])

    @property
    def shows_picture(self) -> bool:
        """Whether tissue is neither cut away nor squeezed."""
        return self.visible >= MIN_VISIBLE_SHARE and self.white <= MAX_WHITE_SHARE and self.spread >= MIN_GREYS
