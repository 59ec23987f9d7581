"""Bytes to instances: what was dropped, as decoded images with their headers. Reads only, knows no settings.

`read_instance` is the door for one file, `extract` for an archive. Every refusal is a `RejectedError` whose sentence
names neither patient nor file.
"""

from worker.intake.archives import ExtractedMember, extract
from worker.intake.files import open_regular
from worker.intake.identity import identity_of_rejected
from worker.intake.limits import DEFAULT_LIMITS, IntakeLimits
from worker.intake.read import file_type, read_instance, sha256_of
from worker.intake.sniff import FileType

__all__ = [
    "DEFAULT_LIMITS",
    "ExtractedMember",
    "FileType",
    "IntakeLimits",
    "extract",
    "file_type",
    "identity_of_rejected",
    "open_regular",
    "read_instance",
    "sha256_of",
]
