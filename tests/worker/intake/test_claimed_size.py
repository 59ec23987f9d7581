"""Sizes before Pillow opens a file."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from worker.intake.claimed_size import claimed_size
from worker.intake.sniff import FileType


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}])
def test_webp(options: dict[str, object]) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (90, 300, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "WEBP", **options)
    assert claimed_size(buffer.getvalue(), FileType.WEBP) == (300, 90)


def test_png() -> None:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 2**31 - 1, 2**31 - 1)
    assert claimed_size(head, FileType.PNG) == (2**31 - 1, 2**31 - 1)


def test_cut_headers_and_other_formats() -> None:
    assert claimed_size(b"\x89PNG\r\n\x1a\n", FileType.PNG) is None
    assert claimed_size(b"RIFF\0\0\0\0WEBPVP8X", FileType.WEBP) is None
    assert claimed_size(b"RIFF\0\0\0\0WEBPJUNK" + bytes(30), FileType.WEBP) is None
    assert claimed_size(b"BM" + bytes(100), FileType.BMP) is None
