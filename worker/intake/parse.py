"""DICOM bytes to a header: bounded inflate, bounded element count, and where the pixel data lies."""

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO

from pydicom import Dataset
from pydicom.errors import InvalidDicomError

# The same function dcmread calls: a scan of our own could disagree with pydicom about what is deflated, and pydicom
# inflates without a bound.
from pydicom.filereader import _read_file_meta_info, read_partial, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from worker.errors import Reason, RejectedError
from worker.intake.elements import VALUE_ERRORS, uid_of
from worker.intake.limits import IntakeLimits

PARSE_ERRORS = (*VALUE_ERRORS, InvalidDicomError, zlib.error)

PIXEL_DATA = 0x7FE00010
_PIXEL_TAGS = frozenset({PIXEL_DATA, 0x7FE00008, 0x7FE00009})
_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_SEQUENCE_END = 0xFFFEE0DD
_LAST_TAG = 0xFFFFFFFF

_CUT = "The DICOM file ends in the middle of its header; its transfer was probably cut short, so send it again."
_DAMAGED = "The DICOM header cannot be read and is damaged; export the image again from the scanner or archive."


class PixelState(StrEnum):
    """What there is at the place of the pixels (PS3.3 C.7.6.3); `CUT` also when the file ends before it."""

    ABSENT = "absent"
    EMPTY = "empty"
    CUT = "cut"
    FLOAT = "float"
    NATIVE = "native"
    ENCAPSULATED = "encapsulated"


@dataclass(frozen=True)
class PixelElement:
    """Where the pixel data element lies.

    Attributes:
        state: what was found.
        value: its value as stored: native pixels, or items up to the sequence delimiter. Empty unless it is whole.
    """

    state: PixelState
    value: bytes = b""


_CUT_ELEMENT = PixelElement(PixelState.CUT)


@dataclass(frozen=True)
class ParsedDicom:
    """A header without pixels, its transfer syntax (inferred where file meta is missing) and the pixel element."""

    dataset: Dataset
    transfer_syntax: str
    pixels: PixelElement


class _TooManyElementsError(Exception):
    """More elements than any object has."""


class _ElementWatch:
    """The `stop_when` of pydicom: sees each top-level element before its value is read."""

    def __init__(self, buffer: BytesIO, size: int, max_elements: int, last_tag: int) -> None:
        self._buffer = buffer
        self._size = size
        self._left = max_elements
        self._last_tag = last_tag
        self.pixel_tag: int | None = None
        self.pixel_at = 0
        self.pixel_length = 0
        self.is_cut = False

    def __call__(self, tag: BaseTag, _vr: str | None, length: int) -> bool:
        """Stop at pixel data, after the last wanted tag, or where the file ends inside a value."""
        if tag in _PIXEL_TAGS:
            self.pixel_tag, self.pixel_at, self.pixel_length = int(tag), self._buffer.tell(), length
            return True
        if tag > self._last_tag:
            return True
        self._left -= 1
        if self._left < 0:
            raise _TooManyElementsError
        # pydicom takes what is left of the file as the value and says nothing.
        self.is_cut = length != _UNDEFINED and self._buffer.tell() + length > self._size
        return self.is_cut


def parse_dicom(data: bytes, limits: IntakeLimits, last_tag: int = _LAST_TAG) -> ParsedDicom:
    """Parse the header of a DICOM file up to its pixel data.

    Args:
        data: the whole file, or its first part when `last_tag` lies in it; a preamble is optional (PS3.10 7.1).
        limits: bounds of inflated bytes and elements.
        last_tag: no element above it is needed.

    Raises:
        RejectedError: `unreadable`, `truncated` or `too_large`.
    """
    try:
        data = _inflated(data, limits)
        buffer = BytesIO(data)
        watch = _ElementWatch(buffer, len(data), limits.max_elements, last_tag)
        dataset = read_partial(buffer, stop_when=watch, force=True)
        syntax = _transfer_syntax(dataset)
    except _TooManyElementsError as error:
        raise RejectedError(Reason.UNREADABLE, _DAMAGED) from error
    except PARSE_ERRORS as error:
        raise RejectedError(Reason.UNREADABLE, _DAMAGED) from error
    # pydicom turns an unexpected end into an empty data set and a warning.
    if not len(dataset) and watch.pixel_tag is None:
        raise RejectedError(Reason.TRUNCATED, _CUT)
    return ParsedDicom(dataset, str(syntax), _pixel_element(data, watch, syntax))


def _inflated(data: bytes, limits: IntakeLimits) -> bytes:
    """Return the file with its data set inflated and labelled as plain (PS3.5 A.5); as it is when not deflated."""
    buffer = BytesIO(data)
    read_preamble(buffer, force=True)
    meta = _read_file_meta_info(buffer)
    start = buffer.tell()
    if uid_of(meta, "TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return _without_commands(data, start)
    bound = min(limits.max_inflated_bytes, max(limits.inflate_free_bytes, limits.max_inflate_ratio * len(data)))
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    body = stream.decompress(data[start:], bound + 1)
    if len(body) > bound:
        sentence = "The deflated DICOM file unpacks to far more bytes than an MR image has; export it uncompressed."
        raise RejectedError(Reason.TOO_LARGE, sentence)
    if not stream.eof:
        raise RejectedError(Reason.TRUNCATED, _CUT)
    # Same length, padded with NUL as UIDs are (PS3.5 9.1), so that no other byte of the file meta has to move.
    deflated = DeflatedExplicitVRLittleEndian.encode()
    plain = ExplicitVRLittleEndian.encode().ljust(len(deflated), b"\0")
    return _without_commands(data[:start].replace(deflated, plain) + body, start)


def _without_commands(data: bytes, start: int) -> bytes:
    """Return a file whose data set does not start with group 0000: message headers of the network (PS3.7 6.3).

    pydicom reads such elements without asking `stop_when`, and a run of zero bytes looks like millions of them.

    Raises:
        RejectedError: `unreadable`.
    """
    if data[start : start + 2] == b"\0\0":
        raise RejectedError(Reason.UNREADABLE, _DAMAGED)
    return data


def _transfer_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax of file meta, or the native one that pydicom found the header to be in."""
    named = uid_of(dataset.file_meta, "TransferSyntaxUID")
    if named:
        return UID(named)
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else explicit


def _pixel_element(data: bytes, watch: _ElementWatch, syntax: UID) -> PixelElement:
    """Cut the value of the pixel data element out of the file without parsing what follows it."""
    if watch.pixel_tag is None:
        return _CUT_ELEMENT if watch.is_cut else PixelElement(PixelState.ABSENT)
    if watch.pixel_tag != PIXEL_DATA:
        return PixelElement(PixelState.FLOAT)
    if watch.pixel_length == 0:
        return PixelElement(PixelState.EMPTY)
    if watch.pixel_length != _UNDEFINED:
        value = data[watch.pixel_at : watch.pixel_at + watch.pixel_length]
        return PixelElement(PixelState.NATIVE, value) if len(value) == watch.pixel_length else _CUT_ELEMENT
    end = _end_of_items(data, watch.pixel_at, ">" if syntax == ExplicitVRBigEndian else "<")
    return _CUT_ELEMENT if end is None else PixelElement(PixelState.ENCAPSULATED, data[watch.pixel_at : end])


def _end_of_items(data: bytes, at: int, order: str) -> int | None:
    """Return the offset of the sequence delimiter of encapsulated pixels (PS3.5 A.4), `None` when it never comes."""
    while at + 8 <= len(data):
        group, number, length = struct.unpack_from(f"{order}HHI", data, at)
        tag = group << 16 | number
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM or length == _UNDEFINED:
            return None
        at += 8 + length
    return None
