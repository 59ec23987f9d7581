"""Slices whose pixels are not square, as the network and the reader should see them: a round head is round."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image

from trainer.runtime.records import GreyImage, Xyxy
from worker.domain import PixelGeometry

LARGEST_RATIO = 8.0
"""Of the two distances between pixels. Beyond it they are damaged values, and the picture is left as it is."""
LONGEST_SIDE = 8192
"""Pixels; a slice that would become longer is left as it is. No scanner makes such, and a JPEG ends at 65,500."""
_SQUARE_WITHIN = 0.01


@dataclass(frozen=True)
class Aspect:
    """How much a slice is enlarged along each axis to have square pixels; 1 for the axis of the closer ones.

    Attributes:
        x: along a row.
        y: along a column.
    """

    x: float
    y: float

    @classmethod
    def of(cls, geometry: PixelGeometry) -> Self:
        """From PixelSpacing (PS3.3 10.7.1.3): first the distance between rows, then that between columns."""
        if geometry.spacing_mm is None:
            return cls(1.0, 1.0)
        between_rows, between_columns = geometry.spacing_mm
        ratio = between_rows / between_columns
        if abs(ratio - 1) <= _SQUARE_WITHIN or not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
            return cls(1.0, 1.0)
        found = cls(max(1.0, 1 / ratio), max(1.0, ratio))
        is_too_long = max(geometry.columns * found.x, geometry.rows * found.y) > LONGEST_SIDE
        return cls(1.0, 1.0) if is_too_long else found

    @property
    def is_square(self) -> bool:
        """Whether nothing has to be done."""
        return self.x == self.y == 1

    def corrected(self, pixels: GreyImage) -> GreyImage:
        """Enlarge `(rows, columns)` uint8 so that its pixels are square."""
        if self.is_square:
            return pixels
        rows, columns = pixels.shape
        size = round(columns * self.x), round(rows * self.y)
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))

    def to_corrected(self, xyxy: Xyxy) -> Xyxy:
        """A box in pixels of the instance, in pixels of the corrected picture."""
        x1, y1, x2, y2 = xyxy
        return x1 * self.x, y1 * self.y, x2 * self.x, y2 * self.y

    def to_stored(self, xyxy: Xyxy) -> Xyxy:
        """A box in pixels of the corrected picture, in pixels of the instance."""
        x1, y1, x2, y2 = xyxy
        return x1 / self.x, y1 / self.y, x2 / self.x, y2 / self.y
