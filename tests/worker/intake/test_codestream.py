"""Sizes that compressed frames declare."""

import io

import numpy as np
import pytest
from PIL import Image

from worker.intake.codestream import FrameSize, frame_size


def encoded(kind: str, mode: str = "L", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (70, 90)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(progressive: bool) -> None:
    assert frame_size(encoded("JPEG", progressive=progressive)) == FrameSize(90, 70, 1)
    assert frame_size(encoded("JPEG", "RGB", progressive=progressive)) == FrameSize(90, 70, 3)


@pytest.mark.parametrize("no_jp2", [False, True])
def test_jpeg_2000_with_and_without_boxes(no_jp2: bool) -> None:
    assert frame_size(encoded("JPEG2000", no_jp2=no_jp2)) == FrameSize(90, 70, 1)


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51\x00", bytes(500)])
def test_nothing_declared(frame: bytes) -> None:
    assert frame_size(frame) is None


def test_cut_anywhere_never_raises() -> None:
    for frame in (encoded("JPEG"), encoded("JPEG2000")):
        assert all(frame_size(frame[:end]) in {None, FrameSize(90, 70, 1)} for end in range(min(len(frame), 400)))


def test_a_lie_is_seen() -> None:
    frame = bytearray(encoded("JPEG"))
    at = frame.find(b"\xff\xc0")
    frame[at + 5 : at + 9] = np.array([65000, 65000], ">u2").tobytes()
    assert frame_size(bytes(frame)) == FrameSize(65000, 65000, 1)
