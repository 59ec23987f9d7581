"""DICOM files: single-frame classic MR images, every common transfer syntax."""

from pathlib import Path

from pydicom import Dataset

from worker.domain import ReadInstance
from worker.errors import Reason, RejectedError
from worker.intake.decode import decode_frame
from worker.intake.elements import is_valid_uid, quiet_pydicom, uid_of
from worker.intake.facts import facts_of
from worker.intake.files import read_bounded, read_head
from worker.intake.grey import GreyLevels, levels_of
from worker.intake.headers import instance_header
from worker.intake.limits import MIB, IntakeLimits
from worker.intake.parse import parse_dicom
from worker.intake.select import refuse
from worker.intake.voi import render

_STUDY_UID_TAG = 0x0020000D
# Tags ascend (PS3.5 7.1): groups 0008 to 0018 lie before it, pixels far behind.
_IDENTIFICATION_BYTES = 4 * MIB

# An acquired slice has noise: even a scout of low signal shows two dozen values. Fewer are a mask or a label map.
_MIN_DISTINCT_VALUES = 8


def read_dicom(path: Path, sha256: str, limits: IntakeLimits) -> ReadInstance:
    """Read one single-frame MR image.

    Args:
        path: a regular file, with or without preamble.
        sha256: its digest, stored in the header of the result.
        limits: bounds on what it may cost.

    Returns:
        `(rows, columns)` uint8 pixels in MONOCHROME2 sense: rescaled, then the first usable VOI window (PS3.3
        C.11.2.1.2), else the 0.5 to 99.5 percentile of non-zero pixels. Non-square pixels are left as they are.

    Raises:
        RejectedError: with the first rule of `select.RULES` that applies, or `unreadable`, `truncated`, `too_large`,
            `blank`, `low_contrast`.
    """
    data = read_bounded(path, limits.max_file_bytes)
    with quiet_pydicom():
        parsed = parse_dicom(data, limits)
        facts = facts_of(parsed)
        refuse(facts, limits)
        levels = levels_of(decode_frame(parsed, facts))
        _refuse_empty(levels)
        pixels, warning = render(parsed.dataset, facts, levels)
        return ReadInstance(instance_header(parsed.dataset, facts, sha256), pixels, warning)


def read_header(path: Path, limits: IntakeLimits) -> Dataset:
    """Return the header of a DICOM file without its pixels; use it inside `quiet_pydicom`, values decode on access.

    Raises:
        RejectedError: `unreadable`, `truncated` or `too_large`.
    """
    data = read_bounded(path, limits.max_file_bytes)
    with quiet_pydicom():
        return parse_dicom(data, limits).dataset


def read_study_uid(path: Path, limits: IntakeLimits) -> str | None:
    """Return the StudyInstanceUID of a file that may be damaged behind it, `None` when there is no valid one."""
    head = read_head(path, _IDENTIFICATION_BYTES)
    with quiet_pydicom():
        try:
            uid = uid_of(parse_dicom(head, limits, last_tag=_STUDY_UID_TAG).dataset, "StudyInstanceUID")
        except RejectedError:
            return None
    return uid if uid and is_valid_uid(uid) else None


def _refuse_empty(levels: GreyLevels) -> None:
    """Refuse pictures without content.

    Raises:
        RejectedError: `blank` for (nearly) one value, `low_contrast` for too few values to be an acquired slice.
    """
    if levels.spread() == 0:
        raise RejectedError(Reason.BLANK, "All pixels of the image have the same value; check the export.")
    if levels.distinct() < _MIN_DISTINCT_VALUES:
        sentence = "The image has only a few grey values, like a mask and unlike a scan; send the original MR series."
        raise RejectedError(Reason.LOW_CONTRAST, sentence)
