"""Plain pictures: every mode to upright grey, and bombs that never go off."""

import contextlib
import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from worker.domain import ReadInstance, StudyKind
from worker.errors import Reason, RejectedError
from worker.intake.images import read_image
from worker.intake.limits import DEFAULT_LIMITS, IntakeLimits

SHA256 = "cd" * 32


@pytest.fixture
def grey(picture: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """`(96, 80)` uint8, 0..250, brighter to the lower right."""
    return (picture // 4).astype(np.uint8)


def read(tmp_path: Path, data: bytes | Image.Image, kind: str = "PNG", **options: object) -> ReadInstance:
    path = tmp_path / "picture"
    if isinstance(data, Image.Image):
        data.save(path, kind, **options)
    else:
        path.write_bytes(data)
    return read_image(path, SHA256, DEFAULT_LIMITS)


def refusal(tmp_path: Path, data: bytes | Image.Image, kind: str = "PNG", **options: object) -> Reason:
    with pytest.raises(RejectedError) as caught:
        read(tmp_path, data, kind, **options)
    return caught.value.reason


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# -- modes


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_formats(tmp_path: Path, grey: npt.NDArray[np.uint8], kind: str, mode: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    found = read(tmp_path, Image.fromarray(grey).convert(mode), kind, **options)
    assert found.pixels.dtype == np.uint8
    assert found.warning is None
    assert np.abs(found.pixels.astype(int) - grey).mean() < (1.5 if kind == "JPEG" else 1e-9)


def test_header(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    header = read(tmp_path, Image.fromarray(grey)).header
    assert (header.kind, header.sha256, header.modality) == (StudyKind.IMAGE, SHA256, None)
    assert (header.geometry.rows, header.geometry.columns, header.geometry.spacing_mm) == (96, 80, None)
    uids = {header.study_uid, header.series_uid, header.sop_uid}
    assert len(uids) == 3
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)
    assert read(tmp_path, Image.fromarray(grey)).header == header


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "1"])
def test_other_modes(tmp_path: Path, grey: npt.NDArray[np.uint8], mode: str) -> None:
    found = read(tmp_path, Image.fromarray(grey).convert(mode)).pixels
    if mode == "1":
        assert set(np.unique(found)) == {0, 255}
    else:
        assert np.array_equal(found, grey)


def test_adobe_cmyk_is_not_negative(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    found = read(tmp_path, Image.fromarray(grey).convert("CMYK"), "JPEG", quality=95).pixels
    assert np.abs(found.astype(int) - grey).mean() < 3


def test_transparent_parts_become_black(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    alpha = np.full_like(grey, 255)
    alpha[:48] = 0
    white = np.maximum(grey, 30)
    found = read(tmp_path, Image.fromarray(np.dstack([white, alpha]))).pixels
    assert not found[:48].any()
    assert np.array_equal(found[48:], white[48:])


def test_transparent_palette(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    palette = Image.fromarray(grey).convert("P")
    found = read(tmp_path, palette, transparency=int(np.asarray(palette).max())).pixels
    assert found.max() < grey.max()


@pytest.mark.parametrize("factor", [16, 257])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_by_the_range_they_use(
    tmp_path: Path, grey: npt.NDArray[np.uint8], factor: int, kind: str
) -> None:
    found = read(tmp_path, Image.fromarray(grey.astype(np.uint16) * factor), kind).pixels
    assert found.max() == 255
    assert len(np.unique(found)) > 80
    ascending = found.ravel()[np.argsort(grey.ravel(), kind="stable")]
    assert (np.diff(ascending.astype(int)) >= 0).all()


def test_white_is_zero_tiff_of_16_bits(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    inverted = Image.fromarray(65535 - grey.astype(np.uint16) * 257)
    found = read(tmp_path, inverted, "TIFF", tiffinfo={262: 0}).pixels
    assert np.corrcoef(found.ravel(), grey.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_wider_values(tmp_path: Path, grey: npt.NDArray[np.uint8], dtype: type[np.generic]) -> None:
    found = read(tmp_path, Image.fromarray(grey.astype(dtype) * 70000), "TIFF").pixels
    assert np.corrcoef(found.ravel(), grey.ravel())[0, 1] > 0.9


def test_not_a_number(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    values = grey.astype(np.float32)
    values[0, 0] = np.nan
    assert refusal(tmp_path, Image.fromarray(values), "TIFF") is Reason.UNSUPPORTED_PIXELS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 99])
def test_exif_orientation(tmp_path: Path, grey: npt.NDArray[np.uint8], kind: str, orientation: int) -> None:
    turns = {
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 3),
        7: lambda a: np.rot90(a, 2).T,
        8: np.rot90,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read(tmp_path, Image.fromarray(grey).convert("RGB"), kind, exif=exif).pixels
    expected = turns.get(orientation, lambda a: a)(grey)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_damaged_exif_is_ignored(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    data = encoded(Image.fromarray(grey), "JPEG")
    garbage = data[:2] + b"\xff\xe1\x00\x20Exif\0\0" + b"\xff" * 24 + data[2:]
    assert read(tmp_path, garbage).pixels.shape == (96, 80)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_first_of_several(tmp_path: Path, grey: npt.NDArray[np.uint8], kind: str) -> None:
    image = Image.fromarray(grey).convert("RGB")
    options = {"lossless": True} if kind == "WEBP" else {}
    found = read(tmp_path, image, kind, save_all=True, append_images=[image.rotate(90)], **options)
    assert np.array_equal(found.pixels, grey)
    assert found.warning is not None


# -- refusals


def test_other_content(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    assert refusal(tmp_path, b"this is a text\n" * 20) is Reason.NOT_AN_IMAGE
    assert refusal(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n") is Reason.NOT_AN_IMAGE
    assert refusal(tmp_path, Image.fromarray(grey), "GIF") is Reason.UNSUPPORTED_TYPE
    assert refusal(tmp_path, b"") is Reason.TRUNCATED
    assert refusal(tmp_path, b"\0\0\0\0" + encoded(Image.fromarray(grey), "JPEG")) is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_half_a_picture_is_never_read(tmp_path: Path, grey: npt.NDArray[np.uint8], kind: str, share: float) -> None:
    noise = np.random.default_rng(3).integers(0, 40, grey.shape, np.uint8)
    data = encoded(Image.fromarray(grey // 2 + noise), kind)
    assert refusal(tmp_path, data[: int(len(data) * share)]) in {Reason.TRUNCATED, Reason.UNREADABLE}


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((1, 1), np.uint8), Reason.TOO_SMALL),
        (np.zeros((5000, 1), np.uint8), Reason.TOO_SMALL),
        (np.zeros((63, 500), np.uint8), Reason.TOO_SMALL),
        (np.zeros((90, 90), np.uint8), Reason.BLANK),
        (np.full((90, 90), 255, np.uint8), Reason.BLANK),
        (np.full((90, 90), 9000, np.uint16), Reason.BLANK),
        (100 + np.random.default_rng(1).integers(0, 3, (90, 90), np.uint8), Reason.BLANK),
    ],
)
def test_nothing_to_see(tmp_path: Path, array: npt.NDArray[np.integer], reason: Reason) -> None:
    assert refusal(tmp_path, Image.fromarray(array)) is reason


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int, depth: int) -> bytes:
    """A valid PNG of zeros, tiny on disk."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (width * depth + 7) // 8)
    body = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))


@pytest.mark.parametrize(
    "data",
    [bomb(9000, 9000, 8), bomb(13000, 13000, 1), claims(30000, 30000), claims(2**31 - 1, 2**31 - 1)],
    ids=["81 Mpx", "169 Mpx", "900 Mpx", "2^62 px"],
)
def test_bombs_are_not_decoded(tmp_path: Path, data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal(tmp_path, data) is Reason.TOO_LARGE


def test_jpeg_that_claims_gigapixels(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    data = bytearray(encoded(Image.fromarray(grey), "JPEG"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    assert refusal(tmp_path, bytes(data)) is Reason.TOO_LARGE


def test_text_chunk_bomb(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    data = encoded(Image.fromarray(grey), "PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(60_000_000), 9))
    assert refusal(tmp_path, data[:33] + text + data[33:]) is Reason.UNREADABLE


def test_limits_are_obeyed(tmp_path: Path, grey: npt.NDArray[np.uint8]) -> None:
    path = tmp_path / "picture"
    Image.fromarray(grey).save(path, "PNG")
    for limits in (IntakeLimits(max_pixels=5000), IntakeLimits(max_file_bytes=100)):
        with pytest.raises(RejectedError) as caught:
            read_image(path, SHA256, limits)
        assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_random_damage_is_refused_or_read(tmp_path: Path, grey: npt.NDArray[np.uint8], kind: str) -> None:
    whole = encoded(Image.fromarray(grey).convert("RGB"), kind)
    random_bits = random.Random(5)
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(random_bits.choice((1, 4, 16))):
            data[random_bits.randrange(len(data))] ^= 1 << random_bits.randrange(8)
        with contextlib.suppress(RejectedError):
            assert read(tmp_path, bytes(data)).pixels.ndim == 2
