"""What belongs together, from a first look at every file: pictures stand alone, DICOM files group by study."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from worker.errors import Reason, RejectedError
from worker.inbox_files import is_ignored
from worker.intake import FileType, IntakeLimits, extract, file_type, identity_of_rejected, read_instance
from worker.predict.inputs import InputFile

EMPTY_ARCHIVE = "The archive holds no files that are read; pack the study's images into it."


class ScratchError(Exception):
    """An archive could not be unpacked for want of room or permission; the message says which."""


@dataclass
class Unit:
    """Files that are answered together.

    Attributes:
        files: one, or those of one DICOM study.
        refusal: an archive that was refused whole, which is never read.
    """

    files: list[InputFile] = field(default_factory=list)
    refusal: RejectedError | None = None


def plan_units(files: Iterable[InputFile], scratch: Path, limits: IntakeLimits) -> list[Unit]:
    """Group files, in the order of each unit's first file; archives are unpacked below `scratch`.

    Only headers are looked at, and pixels are not kept.

    Raises:
        ScratchError: `scratch` does not take the files of an archive.
    """
    units: list[Unit] = []
    studies: dict[str, Unit] = {}
    for file in _unpacked(files, scratch, limits):
        if isinstance(file, Unit):
            units.append(file)
            continue
        study_uid = _study_uid(file, limits)
        if study_uid is None:
            units.append(Unit([file]))
        elif study_uid in studies:
            studies[study_uid].files.append(file)
        else:
            studies[study_uid] = Unit([file])
            units.append(studies[study_uid])
    return units


def _unpacked(files: Iterable[InputFile], scratch: Path, limits: IntakeLimits) -> Iterator[InputFile | Unit]:
    """Files, with archives replaced by their members, or by a refused unit. Archives in archives stay files."""
    for file in files:
        if _type_of(file) is not FileType.ZIP:
            yield file
            continue
        try:
            yield from _members(file, scratch, limits)
        except RejectedError as error:
            yield Unit([file], error)


def _members(archive: InputFile, scratch: Path, limits: IntakeLimits) -> list[InputFile]:
    try:
        extracted = extract(archive.path, Path(mkdtemp(dir=scratch)), limits)
    except OSError as error:
        raise ScratchError(error.strerror or type(error).__name__) from error
    members = [
        InputFile(member.path, f"{archive.name}/{member.name}", member.sha256)
        for member in sorted(extracted, key=lambda member: member.name)
        if not is_ignored(Path(member.name))
    ]
    if not members:
        raise RejectedError(Reason.BAD_ARCHIVE, EMPTY_ARCHIVE)
    return members


def _type_of(file: InputFile) -> FileType:
    """The type by content; what cannot be opened is unknown here, and refused with its reason when it is read."""
    try:
        return file_type(file.path)
    except (RejectedError, OSError):
        return FileType.UNKNOWN


def _study_uid(file: InputFile, limits: IntakeLimits) -> str | None:
    """The study a DICOM file belongs to, readable or not; `None` for pictures and where none is found."""
    if _type_of(file) is not FileType.DICOM:
        return None
    try:
        # a header of many megabytes can hold its study further back than the first look goes
        return (
            identity_of_rejected(file.path, limits).study_uid or read_instance(file.path, "", limits).header.study_uid
        )
    except (RejectedError, OSError):
        return None
