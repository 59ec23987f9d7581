"""What a file is, from its first bytes. Names are never looked at: users rename, and attackers do too."""

import struct
from enum import StrEnum

from pydicom.datadict import dictionary_has_tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

SNIFF_BYTES = 4096
"""Enough for the preamble, the file meta information and the first elements of a data set."""


class FileType(StrEnum):
    """Kinds of content intake tells apart."""

    JPEG = "jpeg"
    PNG = "png"
    BMP = "bmp"
    TIFF = "tiff"
    WEBP = "webp"
    GIF = "gif"
    DICOM = "dicom"
    DICOMDIR = "dicomdir"
    ZIP = "zip"
    UNKNOWN = "unknown"


# (prefix, type). TIFF twice per byte order: classic (42) and BigTIFF (43). PK 5 6 is an archive without entries.
_PREFIXES: tuple[tuple[bytes, FileType], ...] = (
    (b"\xff\xd8\xff", FileType.JPEG),
    (b"\x89PNG\r\n\x1a\n", FileType.PNG),
    (b"II*\x00", FileType.TIFF),
    (b"MM\x00*", FileType.TIFF),
    (b"II+\x00", FileType.TIFF),
    (b"MM\x00+", FileType.TIFF),
    (b"GIF87a", FileType.GIF),
    (b"GIF89a", FileType.GIF),
    (b"PK\x03\x04", FileType.ZIP),
    (b"PK\x05\x06", FileType.ZIP),
    (b"PK\x07\x08", FileType.ZIP),
)
_DIRECTORY_CLASS = b"1.2.840.10008.1.3.10"
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_VRS = frozenset(vr.value.encode() for vr in VR if len(vr.value) == 2)
_LONG_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)
# Data sets start with file meta (2), a directory record (4), or identification (8), PS3.5 7.1: ascending order.
_FIRST_GROUPS = frozenset({0x0002, 0x0004, 0x0008})
_MIN_ELEMENTS = 3
_MAX_FIRST_LENGTH = 1 << 16


def sniff(head: bytes) -> FileType:
    """Tell what a file is.

    Args:
        head: its first `SNIFF_BYTES` bytes, or all of it.

    A DICOM prefix (PS3.10 7.1) wins over whatever the 128 preamble bytes imitate: they are free for applications, and
    DICOM/TIFF dual files are ordinary. Without a preamble the first elements must parse.
    """
    if head[128:132] == b"DICM":
        return FileType.DICOMDIR if _names_directory(head[132:]) else FileType.DICOM
    for prefix, kind in _PREFIXES:
        if head.startswith(prefix):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileType.WEBP
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return FileType.BMP
    return _sniff_bare_data_set(head)


def _names_directory(meta: bytes) -> bool:
    """Whether Media Storage SOP Class UID (0002,0002) is that of a DICOMDIR (PS3.10 8.6)."""
    at = meta.find(b"\x02\x00\x02\x00UI")
    return at >= 0 and meta[at + 8 : at + 8 + len(_DIRECTORY_CLASS)] == _DIRECTORY_CLASS


def _sniff_bare_data_set(head: bytes) -> FileType:
    """Recognise a data set without preamble, in the three encodings pydicom reads without a transfer syntax."""
    for order, explicit in (("<", True), (">", True), ("<", False)):
        tags = _leading_tags(head, order, explicit=explicit)
        if len(tags) >= _MIN_ELEMENTS:
            directory = tags[0] >> 16 == 0x0004 or _names_directory(head)
            return FileType.DICOMDIR if directory else FileType.DICOM
    return FileType.UNKNOWN


def _leading_tags(head: bytes, order: str, *, explicit: bool) -> list[int]:
    """Return the tags that parse as whole, known, ascending elements from the first byte on."""
    tags: list[int] = []
    at = 0
    while len(tags) < _MIN_ELEMENTS and (element := _element_at(head, at, order, explicit=explicit)):
        tag, end = element
        first_fits = tags or tag >> 16 in _FIRST_GROUPS
        if not first_fits or (tags and tag <= tags[-1]) or end > len(head):
            break
        tags.append(tag)
        at = end
    return tags


def _element_at(head: bytes, at: int, order: str, *, explicit: bool) -> tuple[int, int] | None:
    """Return (tag, offset after the value) of the element at `at`, `None` where none can be (PS3.5 7.1.2, 7.1.3)."""
    if at + 12 > len(head):
        return None
    group, number = struct.unpack_from(f"{order}HH", head, at)
    tag = group << 16 | number
    if explicit:
        vr = head[at + 4 : at + 6]
        if vr not in _VRS:
            return None
        long_form = vr in _LONG_VRS
        length = struct.unpack_from(f"{order}I" if long_form else f"{order}H", head, at + (8 if long_form else 6))[0]
        return tag, at + (12 if long_form else 8) + length
    length = struct.unpack_from(f"{order}I", head, at + 4)[0]
    if length >= _MAX_FIRST_LENGTH or not (dictionary_has_tag(tag) or number == 0):
        return None
    return tag, at + 8 + length
