"""From a decoded grey image to the network's square input, the same in training and in the worker.

Where a model was trained so, the input is cut to the head first: how much air a picture has around it says where it
comes from, not what it shows (docs/data.md), and what is left of it is seen larger.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainer.runtime.records import FloatArray, GreyImage

AIR_BELOW = 0.12
"""Of the bright end of an image (its 99th percentile): darker is air."""
LEAST_BRIGHT = 0.02
"""Share of a row or column that is brighter where it shows some of the head; less is noise or a letter."""
MARGIN = 0.03
"""Of the head's longer side, left around it."""
SMALLEST_HEAD = 0.3
"""Of the image, in height and in width: what is smaller is not taken for the head."""


@dataclass(frozen=True)
class Letterbox:
    """How an image was fitted into the square, so that boxes find their way back.

    Attributes:
        size: side of the square, network pixels.
        scale_x: network pixels per image pixel along x.
        scale_y: the same along y (differs from `scale_x` by rounding only).
        pad_x: where the image's left edge lies in the square, network pixels; negative where it was cut.
        pad_y: the same of its upper edge.
        width: image width, pixels.
        height: image height, pixels.
    """

    size: int
    scale_x: float
    scale_y: float
    pad_x: float
    pad_y: float
    width: int
    height: int

    def to_network(self, xyxy: FloatArray) -> FloatArray:
        """Map boxes `(n, 4)` from image pixels to network pixels."""
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        offset = np.array([self.pad_x, self.pad_y] * 2, np.float32)
        return (xyxy * scale + offset).astype(np.float32)

    def to_image(self, xyxy: FloatArray) -> FloatArray:
        """Map boxes `(n, 4)` from network pixels to image pixels, clipped to the image."""
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        offset = np.array([self.pad_x, self.pad_y] * 2, np.float32)
        limit = np.array([self.width, self.height] * 2, np.float32)
        return np.asarray(np.clip((xyxy - offset) / scale, 0, limit), np.float32)


def _fullest_run(bright: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Start and end of the run of rows or columns with the most bright pixels; letters at the side are another run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bright >= LEAST_BRIGHT, [False]]).astype(np.int8)))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return 0, 0
    start, end = runs[int(np.argmax([bright[start:end].sum() for start, end in runs]))]
    return int(start), int(end)


def head_extent(image: GreyImage) -> tuple[int, int, int, int]:
    """Smallest xyxy around the head in `(h, w)` uint8, with a margin; the whole image where there is no such thing."""
    height, width = image.shape
    counts = np.bincount(image.ravel(), minlength=256).cumsum()
    bright = image > AIR_BELOW * np.searchsorted(counts, 0.99 * counts[-1])
    (left, right), (top, bottom) = _fullest_run(bright.mean(0)), _fullest_run(bright.mean(1))
    if right - left < SMALLEST_HEAD * width or bottom - top < SMALLEST_HEAD * height:
        return 0, 0, width, height
    margin = round(MARGIN * max(right - left, bottom - top))
    return max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)


def letterbox(image: GreyImage, size: int, cut_to_head: bool = False) -> tuple[GreyImage, Letterbox]:
    """Fit an image into a black square, long side filled, centred, antialiased.

    Args:
        image: `(h, w)` uint8.
        size: side of the square, pixels.
        cut_to_head: leave away what lies around the head (`head_extent`).

    Returns:
        The square `(size, size)` uint8, and how the image lies in it.
    """
    height, width = image.shape
    left, top, right, bottom = head_extent(image) if cut_to_head else (0, 0, width, height)
    scale = size / max(bottom - top, right - left)
    new_width, new_height = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    shown = Image.fromarray(image[top:bottom, left:right])
    resized = shown.resize((new_width, new_height), Image.Resampling.BILINEAR)
    pad_x, pad_y = (size - new_width) // 2, (size - new_height) // 2
    square = np.zeros((size, size), np.uint8)
    square[pad_y : pad_y + new_height, pad_x : pad_x + new_width] = np.asarray(resized)
    scale_x, scale_y = new_width / (right - left), new_height / (bottom - top)
    return square, Letterbox(size, scale_x, scale_y, pad_x - left * scale_x, pad_y - top * scale_y, width, height)


def to_batch(squares: list[GreyImage]) -> FloatArray:
    """Stack letterboxed images to the network's input: `(n, 1, size, size)` float32 in 0..1."""
    return np.stack(squares)[:, None].astype(np.float32) / 255.0
