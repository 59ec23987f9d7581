"""The content decides what a file is."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from worker.intake.sniff import SNIFF_BYTES, FileType, sniff


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((70, 70), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def packaged(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(str(path)).read_bytes()[:SNIFF_BYTES]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_pictures(kind: str) -> None:
    assert sniff(encoded(kind)[:SNIFF_BYTES]) is FileType(kind.lower())


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", FileType.UNKNOWN),
        (bytes(4096), FileType.UNKNOWN),
        (b"this is not a picture\n" * 50, FileType.UNKNOWN),
        (b"BMW and BM words are no bitmap, whatever they start with", FileType.UNKNOWN),
        (b"%PDF-1.7\n", FileType.UNKNOWN),
        (b"MM\x00*" + bytes(20), FileType.TIFF),
        (b"PK\x05\x06" + bytes(18), FileType.ZIP),
        (b"PK\x03\x04" + bytes(26), FileType.ZIP),
        (b"\x08\x00\x05\x00CS", FileType.UNKNOWN),
        (bytes(128) + b"DICM", FileType.DICOM),
        (b"\xff\xd8\xff\xe0" + bytes(124) + b"DICM" + bytes(10), FileType.DICOM),
    ],
)
def test_by_signature(head: bytes, kind: FileType) -> None:
    assert sniff(head) is kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MR_small.dcm", FileType.DICOM),
        ("MR_small_bigendian.dcm", FileType.DICOM),
        ("rtstruct.dcm", FileType.DICOM),  # implicit VR, neither preamble nor meta
        ("ExplVR_LitEndNoMeta.dcm", FileType.DICOM),
        ("ExplVR_BigEndNoMeta.dcm", FileType.DICOM),
    ],
)
def test_dicom_of_pydicom(name: str, kind: FileType) -> None:
    assert sniff(packaged(name)) is kind


def test_data_set_without_preamble() -> None:
    assert sniff(packaged("MR_small.dcm")[132:]) is FileType.DICOM


def test_a_directory_is_no_image() -> None:
    directory = bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"
    assert sniff(directory) is FileType.DICOMDIR
