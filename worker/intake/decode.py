"""Compressed or plain pixel data to stored values, with the one decoder that is allowed for each transfer syntax."""

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, RLELossless

from worker.errors import Reason, RejectedError
from worker.intake.codestream import frame_size
from worker.intake.elements import VALUE_ERRORS
from worker.intake.facts import HeaderFacts
from worker.intake.grey import StoredImage
from worker.intake.parse import PIXEL_DATA, ParsedDicom, PixelState
from worker.intake.vocabulary import DECODING_PLUGINS

# pydicom wraps what a plugin raises into RuntimeError, and raises the rest of these itself on items, lengths and
# shapes that do not fit.
_DECODE_ERRORS = (*VALUE_ERRORS, RuntimeError)

# A frame compressed into twice its own size is no image; the run-length decoder would inflate it up to 64-fold.
_MAX_ENCODED_RATIO = 2
_ENCODED_SLACK_BYTES = 1 << 16

_DAMAGED = "The compressed pixels cannot be decoded and are damaged; send the image again or export it uncompressed."
_OTHER_SIZE = "The compressed picture has another size than its header says; export the image again."


def decode_frame(parsed: ParsedDicom, facts: HeaderFacts, index: int = 0) -> StoredImage:
    """Decode one frame of an object that passed `select.refuse`, counted from 0.

    Returns:
        `(rows, columns)` stored values, uint8, int8, uint16 or int16 in native byte order (PS3.5 8.1.1).

    Raises:
        RejectedError: `unreadable` or `bad_header`.
    """
    dataset = _with_pixels(parsed, facts)
    try:
        if parsed.pixels.state is PixelState.ENCAPSULATED:
            _check_codestream(get_frame(parsed.pixels.value, index, number_of_frames=facts.frames), facts)
        decoder = get_decoder(UID(facts.transfer_syntax))
        plugin = DECODING_PLUGINS[facts.transfer_syntax]
        decoded, _ = decoder.as_array(dataset, index=index, raw=True, decoding_plugin=plugin)
    except _DECODE_ERRORS as error:
        raise RejectedError(Reason.UNREADABLE, _DAMAGED) from error
    stored = np.asarray(decoded)
    if stored.shape != (facts.rows, facts.columns) or stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        raise RejectedError(Reason.BAD_HEADER, _OTHER_SIZE)
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _with_pixels(parsed: ParsedDicom, facts: HeaderFacts) -> Dataset:
    """Return a data set of checked facts alone, so that nothing else of the header can disturb a decoder."""
    dataset = Dataset()
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = facts.photometric
    dataset.Rows = facts.rows
    dataset.Columns = facts.columns
    dataset.NumberOfFrames = facts.frames
    dataset.BitsAllocated = facts.bits_allocated
    dataset.BitsStored = facts.bits_stored
    dataset.PixelRepresentation = facts.pixel_representation
    encapsulated = parsed.pixels.state is PixelState.ENCAPSULATED
    element = DataElement(PIXEL_DATA, "OB" if encapsulated else "OW", parsed.pixels.value)
    element.is_undefined_length = encapsulated
    dataset[PIXEL_DATA] = element
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(facts.transfer_syntax)
    dataset.set_original_encoding(*parsed.dataset.original_encoding)
    return dataset


def _check_codestream(frame: bytes, facts: HeaderFacts) -> None:
    """Refuse a frame that would make a decoder allocate something else than the header announced.

    Raises:
        RejectedError: `bad_header` for another size, `unreadable` for a frame without one.
    """
    if len(frame) > _MAX_ENCODED_RATIO * facts.frame_bytes + _ENCODED_SLACK_BYTES:
        raise RejectedError(Reason.BAD_HEADER, _OTHER_SIZE)
    if facts.transfer_syntax == RLELossless:  # no size of its own, PS3.5 annex G
        return
    size = frame_size(frame)
    if size is None:
        raise RejectedError(Reason.UNREADABLE, _DAMAGED)
    if (size.rows, size.columns, size.components) != (facts.rows, facts.columns, 1):
        raise RejectedError(Reason.BAD_HEADER, _OTHER_SIZE)
