"""One file to one instance: look at the content, hand it to the reader for its kind."""

from pathlib import Path

from worker.domain import GreyRange, ReadInstance
from worker.errors import Reason, RejectedError
from worker.intake.dicom import read_dicom
from worker.intake.files import read_head, sha256_of
from worker.intake.images import PICTURE_TYPES, read_image
from worker.intake.limits import DEFAULT_LIMITS, IntakeLimits
from worker.intake.sniff import SNIFF_BYTES, FileType, sniff

__all__ = ["file_type", "read_instance", "sha256_of"]


def file_type(path: Path) -> FileType:
    """Tell what a file is from its content.

    Raises:
        RejectedError: `unsupported_type` for links, folders, devices; `unreadable` without permission.
    """
    return sniff(read_head(path, SNIFF_BYTES))


def read_instance(
    path: Path, sha256: str, limits: IntakeLimits = DEFAULT_LIMITS, shown_by: GreyRange | None = None
) -> ReadInstance:
    """Read one picture or DICOM file.

    An archive is refused here: `archives.extract` opens the ones that users drop, so that an archive among the
    members of an archive is refused as that one member.

    Args:
        path: a regular file.
        sha256: its digest.
        limits: bounds on what it may cost.
        shown_by: of a DICOM file, the range of its series in place of its own window.

    Returns:
        `(rows, columns)` uint8 pixels and their header.

    Raises:
        RejectedError: everything that is not a readable picture or MR image; never retried.
        OSError: the disk failed, or the file is gone.
    """
    kind = file_type(path)
    if kind is FileType.DICOM:
        return read_dicom(path, sha256, limits, shown_by)
    if kind in PICTURE_TYPES:
        return read_image(path, sha256, limits)
    raise _refusal_of(kind, path)


def _refusal_of(kind: FileType, path: Path) -> RejectedError:
    """Say why a type is not read."""
    if kind is FileType.GIF:
        sentence = "GIF pictures are not read; save the picture as PNG or JPEG, or send the DICOM image."
        return RejectedError(Reason.UNSUPPORTED_TYPE, sentence)
    if kind is FileType.ZIP:
        sentence = "An archive inside an archive is not opened; put the images into one archive or send them unpacked."
        return RejectedError(Reason.UNSUPPORTED_TYPE, sentence)
    if kind is FileType.DICOMDIR:
        sentence = "A DICOMDIR is a table of contents without images; send the image files it lists."
        return RejectedError(Reason.NOT_AN_IMAGE, sentence)
    if not read_head(path, 1):
        sentence = "The file is empty; its transfer probably failed, so send it again."
        return RejectedError(Reason.TRUNCATED, sentence)
    sentence = "The content is neither a picture nor DICOM; send JPEG, PNG, BMP, TIFF, WebP, DICOM or a zip of them."
    return RejectedError(Reason.NOT_AN_IMAGE, sentence)
