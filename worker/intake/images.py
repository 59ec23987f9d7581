"""Plain pictures: JPEG, PNG, BMP, TIFF and WebP, by Pillow."""

import struct
import uuid
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainer.runtime.records import GreyImage
from worker.domain import InstanceHeader, PixelGeometry, ReadInstance, StudyKind
from worker.errors import Reason, RejectedError
from worker.intake.claimed_size import claimed_size
from worker.intake.files import read_bounded
from worker.intake.grey import levels_of, percentile_range, ramp
from worker.intake.limits import IntakeLimits
from worker.intake.sniff import SNIFF_BYTES, FileType, sniff

# Named one by one: Pillow opens some fifty formats, EPS through Ghostscript.
_PILLOW_FORMATS = {
    FileType.JPEG: "JPEG",
    FileType.PNG: "PNG",
    FileType.BMP: "BMP",
    FileType.TIFF: "TIFF",
    FileType.WEBP: "WEBP",
}
PICTURE_TYPES = frozenset(_PILLOW_FORMATS)

# Pillow's plugins have no common error class: SyntaxError is its own for broken files, OSError for data that ends or
# does not decode (it is never the disk's: the bytes are in memory), ValueError for text chunks that unpack to more
# than PngImagePlugin.MAX_TEXT_CHUNK, the rest slips out of header parsers fed with damaged tags.
_PILLOW_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# EXIF 2.32 tag 0x0112, value -> how to turn the stored picture upright.
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_PHOTOMETRIC_TAG = 262  # TIFF 6.0, section 8: 0 = WhiteIsZero

# JPEG blocks of an empty picture differ by a value or two.
_BLANK_SPREAD = 3

_MORE_FRAMES = "The file holds more than one picture and only the first was read."


def read_image(path: Path, sha256: str, limits: IntakeLimits) -> ReadInstance:
    """Read one picture.

    Args:
        path: a regular file; its content decides the format.
        sha256: its digest, from which the `2.25.` UIDs of the result are made.
        limits: bounds on what it may cost, checked before pixels are decoded.

    Returns:
        `(rows, columns)` uint8, upright by its EXIF orientation. 8-bit values are kept; 16-bit ones are scaled by the
        0.5 to 99.5 percentile of non-zero pixels. Of several pictures the first, with a warning.

    Raises:
        RejectedError: `not_an_image`, `unsupported_type`, `unreadable`, `truncated`, `too_large`, `too_small`,
            `unsupported_pixels`, `blank`.
    """
    data = read_bounded(path, limits.max_file_bytes)
    kind = sniff(data[:SNIFF_BYTES])
    if kind not in PICTURE_TYPES:
        known = kind is not FileType.UNKNOWN
        sentence = "The content is not a picture in JPEG, PNG, BMP, TIFF or WebP format; save it in one of these."
        raise RejectedError(Reason.UNSUPPORTED_TYPE if known else Reason.NOT_AN_IMAGE, sentence)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decompression bombs and odd metadata; the size is checked below
        pixels, has_more = _decode(data, kind, limits)
    if levels_of(pixels).histogram.spread() <= _BLANK_SPREAD:
        raise RejectedError(Reason.BLANK, "The picture shows one even grey and nothing else; check the export.")
    return ReadInstance.of_one_slice(_header(pixels, sha256), pixels, _MORE_FRAMES if has_more else None)


def _decode(data: bytes, kind: FileType, limits: IntakeLimits) -> tuple[GreyImage, bool]:
    """Return upright `(rows, columns)` uint8 pixels and whether more pictures follow in the file."""
    claimed = claimed_size(data, kind)
    if claimed is not None:
        _check_size(claimed, limits)
    try:
        with Image.open(BytesIO(data), formats=[_PILLOW_FORMATS[kind]]) as image:
            _check_size(image.size, limits)
            image.load()
            turn = _UPRIGHT.get(_orientation(image))
            grey = _grey(image)
            if turn is not None:
                grey = np.array(Image.fromarray(grey).transpose(turn))
            return grey, _has_more(image)
    except Image.DecompressionBombError as error:
        raise _too_large(limits) from error
    except _PILLOW_ERRORS as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> RejectedError:
    """Tell a picture that ends too early from one that is damaged; Pillow says so in its message only."""
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        sentence = "The picture ends too early; its transfer was probably cut short, so send it again."
        return RejectedError(Reason.TRUNCATED, sentence)
    return RejectedError(Reason.UNREADABLE, "The picture is damaged and cannot be decoded; save and send it again.")


def _too_large(limits: IntakeLimits) -> RejectedError:
    """Name the limit, not the size: that is whatever the file claims."""
    millions = limits.max_pixels / 1e6
    sentence = f"The picture claims more than {millions:g} million pixels; send the original scan, not an enlargement."
    return RejectedError(Reason.TOO_LARGE, sentence)


def _check_size(size: tuple[int, int], limits: IntakeLimits) -> None:
    """Refuse by the size of the header.

    Raises:
        RejectedError: `too_large` or `too_small`.
    """
    width, height = size
    if width * height > limits.max_pixels:
        raise _too_large(limits)
    if min(width, height) < limits.min_side_px:
        sentence = (
            f"The picture has {width} × {height} pixels and needs at least {limits.min_side_px} on each side; "
            "send the full-size image."
        )
        raise RejectedError(Reason.TOO_SMALL, sentence)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) when there is none or it is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _PILLOW_ERRORS:
        return 1


def _has_more(image: Image.Image) -> bool:
    """Whether a second picture follows. Seeks in place of `n_frames`, which walks through all pages of a TIFF."""
    try:
        image.seek(1)
    except _PILLOW_ERRORS:
        return False
    return True


def _grey(image: Image.Image) -> GreyImage:
    """Convert any mode to `(rows, columns)` uint8 luminance.

    ITU-R 601 weights: screenshots of MR have equal channels, for which any weights give the same grey, so that only
    coloured marks depend on them, and the training pictures were made with these. Transparent parts become black, the
    background of MR. Pillow has already undone the inversion of Adobe's CMYK JPEGs.
    """
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        return _grey_of_wide(image)
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or (image.mode == "P" and "transparency" in image.info):
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    if image.mode not in {"1", "L", "RGB"}:
        image = image.convert("RGB")
    return np.array(image.convert("L"), np.uint8)


def _grey_of_wide(image: Image.Image) -> GreyImage:
    """Scale 16-bit, 32-bit and floating-point values by the range they use: 12 bits in 16 must not come out dark."""
    wide = np.asarray(image)
    levels = levels_of(_as_uint16(wide))
    table = ramp(levels.histogram.values, *_distinct_ends(percentile_range(levels.histogram)))
    if getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC_TAG) == 0:  # Pillow turns 8-bit WhiteIsZero only
        table = np.uint8(255) - table
    return levels.render(table)


def _distinct_ends(ends: tuple[float, float]) -> tuple[float, float]:
    """Keep the ramp defined for a constant picture, which is refused as blank later."""
    low, high = ends
    return (low, high) if high > low else (low, low + 1)


def _as_uint16(wide: npt.NDArray[np.generic]) -> npt.NDArray[np.uint16]:
    """Return 16-bit values as they are and stretch wider ones over 16 bits.

    Raises:
        RejectedError: `unsupported_pixels` for NaN or infinite values.
    """
    if wide.dtype.kind == "u" and wide.dtype.itemsize == 2:
        return wide.astype(np.uint16)
    values = wide.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        sentence = "The picture has values that are not numbers; save it with 8 or 16 bits a pixel."
        raise RejectedError(Reason.UNSUPPORTED_PIXELS, sentence)
    if wide.dtype.kind == "i" and low >= 0 and high <= np.iinfo(np.uint16).max:
        return values.astype(np.uint16)
    return ((values - low) * (np.iinfo(np.uint16).max / max(high - low, np.finfo(np.float64).tiny))).astype(np.uint16)


def _header(pixels: GreyImage, sha256: str) -> InstanceHeader:
    """Make a header for a picture, the same for the same bytes."""
    return InstanceHeader(
        kind=StudyKind.IMAGE,
        sha256=sha256,
        study_uid=_uid("study", sha256),
        series_uid=_uid("series", sha256),
        sop_uid=_uid("instance", sha256),
        geometry=PixelGeometry(rows=pixels.shape[0], columns=pixels.shape[1]),
    )


def _uid(role: str, sha256: str) -> str:
    """Derive a UID from a UUID (PS3.5 B.2), here a name-based one so that it can be made again."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{role}:{sha256}').int}"
