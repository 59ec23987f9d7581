"""One decoder for every image file: the same pixels everywhere, and one sentence for every damage."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.grey import read_grey, read_picture
from trainer.labels import DatasetError

from .conftest import SIDE, smooth_noise


def png_that_claims(side: int) -> bytes:
    """A PNG whose header names a size that none of its few bytes hold."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_colours_become_grey_bytes(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), (255, 0, 0)).save(tmp_path / "red.png")
    grey = read_grey(tmp_path / "red.png")
    assert (grey.shape, grey.dtype) == ((2, 3), np.uint8)
    assert (grey == 76).all()  # ITU-R 601-2: 0.299 of red
    assert read_picture(tmp_path / "red.png").mode == "L"


def test_a_palette_with_transparent_entries_warns_nobody(tmp_path: Path) -> None:
    noise = Image.fromarray(smooth_noise(np.random.default_rng(1)))
    noise.convert("P").save(tmp_path / "x.png", transparency=bytes(range(256)))
    assert read_grey(tmp_path / "x.png").shape == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>404</html>", "it is no image"),
        (b"", "it is no image"),
        (png_that_claims(30_000), "exceeds limit of"),
        (png_that_claims(40), "truncated"),
    ],
)
def test_what_cannot_be_decoded_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"x\.png cannot be read \(.*{reason}.*\): .*trainer\.audit") as raised:
        read_grey(path)
    assert "\n" not in str(raised.value)
    assert "BytesIO" not in str(raised.value)


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"x\.png cannot be read \(No such file or directory\)"):
        read_grey(tmp_path / "x.png")
    with pytest.raises(DatasetError, match=r"cannot be read \(Is a directory\)"):
        read_grey(tmp_path)
