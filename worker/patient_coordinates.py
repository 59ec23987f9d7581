"""From pixels of an instance to millimetres of the patient (PS3.3 C.7.6.2.1.1)."""

from itertools import product

import numpy as np

from trainer.runtime.records import Xyxy
from worker.domain import PixelGeometry

_FIRST_PIXEL_CENTRE = 0.5
"""ImagePositionPatient is the centre of the first pixel; boxes count from its corner."""


def corners_mm(geometry: PixelGeometry, xyxy: Xyxy) -> tuple[tuple[float, float, float], ...] | None:
    """The four corners of a box in the patient: LPS, mm; top left, top right, bottom left, bottom right.

    `None` where the header does not say where the slice lies.
    """
    if geometry.position_mm is None or geometry.orientation is None or geometry.spacing_mm is None:
        return None
    origin, axes = np.array(geometry.position_mm), np.array(geometry.orientation).reshape(2, 3)
    between_rows, between_columns = geometry.spacing_mm
    x1, y1, x2, y2 = xyxy
    corners = [
        origin
        + axes[0] * (x - _FIRST_PIXEL_CENTRE) * between_columns
        + axes[1] * (y - _FIRST_PIXEL_CENTRE) * between_rows
        for y, x in product((y1, y2), (x1, x2))
    ]
    return tuple((float(x), float(y), float(z)) for x, y, z in corners)
