"""Width and height out of picture headers for the formats where Pillow is late.

Pillow says that a PNG with sides of 2^31 pixels is no PNG, and its WebP reader allocates the canvas on opening, in
older versions before any size is looked at.
"""

import struct

from worker.intake.sniff import FileType


def claimed_size(data: bytes, kind: FileType) -> tuple[int, int] | None:
    """Return (width, height) in pixels as the header says, `None` for other formats and cut headers."""
    try:
        if kind is FileType.PNG:  # ISO/IEC 15948, 11.2.1: IHDR comes first
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        return _webp_size(data) if kind is FileType.WEBP else None
    except struct.error:
        return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read the first chunk of a WebP file: lossy, lossless or extended (RFC 9649, 2.5 to 2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        low = struct.unpack_from("<I", data, 24)[0] & 0xFFFFFF
        high = struct.unpack_from("<I", data, 26)[0] >> 8
        return low + 1, high + 1
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
