"""What one image file really is: content type, mode, size, brightness, sums. A file in, facts and findings out."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from trainer.audit_findings import Finding, Slug, note, warning
from trainer.grey import DECODING_ERRORS, DecodedImage, decode
from trainer.leakage import picture_hash

SUFFIXES_OF_FORMAT = {
    "JPEG": frozenset({".jpg", ".jpeg"}),
    "MPO": frozenset({".jpg", ".jpeg"}),  # a JPEG with a preview behind it
    "PNG": frozenset({".png"}),
    "BMP": frozenset({".bmp"}),
}
PLAIN_MODES = frozenset({"L", "RGB", "1"})
MODES = {
    "RGBA": "transparency is dropped",
    "LA": "transparency is dropped",
    "PA": "transparency is dropped",
    "P": "palette colours become grey",
    "CMYK": "print colours become grey",
    "I;16": "more than 8 bits are cut off at 255",
    "I": "more than 8 bits are cut off at 255",
    "F": "more than 8 bits are cut off at 255",
}
"""What `convert("L")`, which the trainer reads with, makes of modes other than grey and RGB (Pillow's names)."""
BLANK_DEVIATION = 1.0
"""Standard deviation of grey values, 0..255, below which an image shows nothing."""
BLACK = 10
"""Grey values up to this are background."""
SIGNATURE_BYTES = 12


@dataclass(frozen=True)
class ImageFacts:
    """What was measured on one image.

    Attributes:
        sha256: of the file's bytes.
        pixel_sha256: of the decoded grey pixels and their shape; equal for copies that were only re-wrapped.
        hashes: perceptual hash as it is and mirrored, 64 bits each (`trainer.leakage`).
        format: by content, Pillow's name.
        mode: Pillow's name.
        width: pixels.
        height: pixels.
        mean: of the grey values, 0..255.
        deviation: standard deviation of the grey values, 0..255.
        black_share: share of grey values up to `BLACK`, 0..1.
    """

    sha256: str
    pixel_sha256: str
    hashes: tuple[np.uint64, np.uint64]
    format: str
    mode: str
    width: int
    height: int
    mean: float
    deviation: float
    black_share: float


@dataclass(frozen=True)
class ImageCheck:
    """Facts of an image, `None` where it cannot be decoded, and what was found."""

    facts: ImageFacts | None
    findings: tuple[Finding, ...]


def check_image(path: Path, file: str) -> ImageCheck:
    """Decode and measure one file; `file` is its name for the findings, relative to the data folder."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageCheck(None, (warning(Slug.UNREADABLE, file, f"cannot be read: {error.strerror}"),))
    try:
        decoded = decode(content)
    except UnidentifiedImageError:
        return ImageCheck(None, (warning(Slug.NOT_AN_IMAGE, file, _no_image(content)),))
    except DECODING_ERRORS as error:
        return ImageCheck(None, (warning(Slug.UNREADABLE, file, f"cannot be decoded: {error}"),))
    facts = _measure(content, decoded)
    return ImageCheck(facts, tuple(_judge(facts, decoded.frames, path.suffix.lower(), file)))


def _no_image(content: bytes) -> str:
    if not content:
        return "is empty (0 bytes)"
    return f"is no image: it starts with {content[:SIGNATURE_BYTES]!r}"


def _measure(content: bytes, decoded: DecodedImage) -> ImageFacts:
    pixels = np.asarray(decoded.grey)
    return ImageFacts(
        sha256=hashlib.sha256(content).hexdigest(),
        pixel_sha256=hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest(),
        hashes=picture_hash(decoded.grey),
        format=decoded.format,
        mode=decoded.mode,
        width=decoded.grey.width,
        height=decoded.grey.height,
        mean=float(pixels.mean()),
        deviation=float(pixels.std()),
        black_share=float((pixels <= BLACK).mean()),
    )


def _judge(facts: ImageFacts, frames: int, suffix: str, file: str) -> Iterator[Finding]:
    if sentence := wrong_content_type(facts.format, facts.mode, suffix):
        yield warning(Slug.CONTENT_TYPE, file, sentence)
    if sentence := unusual_mode(facts.mode):
        yield warning(Slug.MODE, file, sentence)
    if frames > 1 and facts.format != "MPO":
        yield note(Slug.FRAMES, file, f"holds {frames} frames; the first is read")
    if facts.deviation < BLANK_DEVIATION:
        yield warning(Slug.BLANK, file, f"is blank: every grey value is about {facts.mean:.0f}")


def wrong_content_type(image_format: str, mode: str, suffix: str) -> str | None:
    """A sentence when content of a format stands under a suffix of another, else `None`."""
    if suffix in SUFFIXES_OF_FORMAT.get(image_format, frozenset()):
        return None
    return f"{image_format} content ({mode}) named {suffix or 'without a suffix'}"


def unusual_mode(mode: str) -> str | None:
    """A sentence when a mode is neither grey nor RGB with 8 bits, else `None`."""
    if mode in PLAIN_MODES:
        return None
    return f"mode {mode}: {MODES.get(mode, 'converted to grey as Pillow does it')}"
