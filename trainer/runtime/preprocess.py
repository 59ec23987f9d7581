"""From a decoded grey image to the network's square input, the same in training and in the worker."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from trainer.runtime.records import FloatArray, GreyImage


@dataclass(frozen=True)
class Letterbox:
    """How an image was fitted into the square, so that boxes find their way back.

    Attributes:
        size: side of the square, network pixels.
        scale_x: network pixels per image pixel along x.
        scale_y: the same along y (differs from `scale_x` by rounding only).
        pad_x: empty columns left of the image, network pixels.
        pad_y: empty rows above it.
        width: image width, pixels.
        height: image height, pixels.
    """

    size: int
    scale_x: float
    scale_y: float
    pad_x: int
    pad_y: int
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


def letterbox(image: GreyImage, size: int) -> tuple[GreyImage, Letterbox]:
    """Fit `image` `(h, w)` uint8 into a black `(size, size)` uint8 square, long side filled, centred, antialiased."""
    height, width = image.shape
    scale = size / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    resized = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BILINEAR)
    pad_x, pad_y = (size - new_width) // 2, (size - new_height) // 2
    square = np.zeros((size, size), np.uint8)
    square[pad_y : pad_y + new_height, pad_x : pad_x + new_width] = np.asarray(resized)
    return square, Letterbox(size, new_width / width, new_height / height, pad_x, pad_y, width, height)


def to_batch(squares: list[GreyImage]) -> FloatArray:
    """Stack letterboxed images to the network's input: `(n, 1, size, size)` float32 in 0..1."""
    return np.stack(squares)[:, None].astype(np.float32) / 255.0
