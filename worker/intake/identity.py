"""What a refused DICOM file would have been part of, read from as much of it as can be read."""

from dataclasses import dataclass
from pathlib import Path

from worker.errors import RejectedError
from worker.intake.elements import integer_of, is_valid_uid, quiet_pydicom, text_of, uid_of
from worker.intake.files import read_head
from worker.intake.limits import MIB, IntakeLimits
from worker.intake.parse import parse_dicom
from worker.intake.read import file_type
from worker.intake.sniff import FileType

_SERIES_NUMBER_TAG = 0x00200011
# Tags ascend (PS3.5 7.1): groups 0008 to 0020 lie before it, pixels far behind.
_IDENTIFICATION_BYTES = 4 * MIB


@dataclass(frozen=True)
class Identity:
    """Study and series of a refused file; `None` where it does not say.

    Attributes:
        study_uid: StudyInstanceUID.
        series_name: SeriesDescription, else the number. Patient data: for pages, never for logs.
    """

    study_uid: str | None = None
    series_name: str | None = None


def identity_of_rejected(path: Path, limits: IntakeLimits) -> Identity:
    """Return what a refused file was part of; of anything but DICOM nothing.

    Raises:
        OSError: the disk failed, or the file is gone.
    """
    try:
        if file_type(path) is not FileType.DICOM:
            return Identity()
        head = read_head(path, _IDENTIFICATION_BYTES)
        with quiet_pydicom():
            dataset = parse_dicom(head, limits, last_tag=_SERIES_NUMBER_TAG).dataset
            uid, number = uid_of(dataset, "StudyInstanceUID"), integer_of(dataset, "SeriesNumber")
            name = text_of(dataset, "SeriesDescription") or (None if number is None else f"Series {number}")
    except RejectedError:
        return Identity()
    return Identity(uid if uid and is_valid_uid(uid) else None, name)
