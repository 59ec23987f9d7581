"""The one way an image file becomes grey pixels, for training, figures and the audit alike. No torch."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainer.labels import DatasetError
from trainer.runtime.records import GreyImage

DECODING_ERRORS = (OSError, SyntaxError, ValueError, OverflowError, EOFError, Image.DecompressionBombError)
"""What Pillow's decoders raise on files that are damaged, no image, or far too large."""


@dataclass(frozen=True)
class DecodedImage:
    """Grey pixels as the trainer reads them, and what the file said: Pillow's names, and the number of frames."""

    grey: Image.Image
    format: str
    mode: str
    frames: int


def decode(content: bytes) -> DecodedImage:
    """Decode the bytes of an image file.

    Raises:
        UnidentifiedImageError: no image (an `OSError`).
        Exception: one of `DECODING_ERRORS`, the image is damaged or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata and palettes: the audit's findings say what matters
        with Image.open(BytesIO(content)) as image:
            frames = getattr(image, "n_frames", 1)
            return DecodedImage(image.convert("L"), image.format or "unknown", image.mode, frames)


def read_picture(path: Path) -> Image.Image:
    """Read an image file as a Pillow image of mode L.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        return decode(path.read_bytes()).grey
    except DECODING_ERRORS as error:
        raise DatasetError(
            f"{path} cannot be read ({_reason(error)}): repair or remove it; "
            "`python -m trainer.audit` lists every such file."
        ) from error


def read_grey(path: Path) -> GreyImage:
    """Read an image file as grey pixels, `(h, w)` uint8.

    Raises:
        DatasetError: it cannot be read.
    """
    return np.asarray(read_picture(path))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no image"  # Pillow's own text names a buffer in memory
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".")
