"""What a compressed frame claims about itself, read before a decoder allocates memory for it."""

import struct
from dataclasses import dataclass

# SOF markers, ITU-T T.81 table B.1 (C4, C8 and CC are tables and extensions), and SOF55 of JPEG-LS (T.87 C.1.1).
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_JPEG_SCAN = 0xDA
_JPEG_FILL = 0xFF
# SOC followed by SIZ, T.800 A.5.1; some writers put a JP2 box structure in front of it.
_J2K_START = b"\xff\x4f\xff\x51"
_J2K_SEARCH_BYTES = 4096


@dataclass(frozen=True)
class FrameSize:
    """Size a codestream declares: rows and columns in pixels, and its number of components."""

    rows: int
    columns: int
    components: int


def frame_size(frame: bytes) -> FrameSize | None:
    """Return the size declared by a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream, `None` when it declares none."""
    try:
        if frame.startswith(b"\xff\xd8"):
            return _jpeg_size(frame)
        start = frame.find(_J2K_START, 0, _J2K_SEARCH_BYTES)
        return _j2k_size(frame, start) if start >= 0 else None
    except (IndexError, struct.error):  # cut inside the headers
        return None


def _jpeg_size(frame: bytes) -> FrameSize | None:
    """Walk the marker segments up to the frame header (T.81 B.2.2)."""
    at = 2
    while frame[at] == _JPEG_FILL:
        marker = frame[at + 1]
        if marker == _JPEG_FILL:
            at += 1
            continue
        if marker == _JPEG_SCAN:
            return None
        length = struct.unpack_from(">H", frame, at + 2)[0]
        if marker in _JPEG_FRAME_MARKERS:
            rows, columns, components = struct.unpack_from(">HHB", frame, at + 5)
            return FrameSize(rows, columns, components)
        at += 2 + length
    return None


def _j2k_size(frame: bytes, start: int) -> FrameSize:
    """Read the SIZ segment (T.800 A.5.1)."""
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    return FrameSize(height - top, width - left, components)
