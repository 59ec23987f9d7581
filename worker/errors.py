"""How steps fail.

TriageError
├── RejectedError    bad input: never retried, kept in outbox/rejected with one sentence
├── TooCostlyError   input that took too much time or memory: an attempt is spent, given up after the last
└── TransientError   the world is in the way (disk full, database away): retried with growing delays

Everything else is a bug and is raised.
"""

import errno
from enum import StrEnum


class Reason(StrEnum):
    """Stable machine slugs of every refusal and of every series left out. Scripts rely on them.

    docs/dicom.md says what each means, and why nothing is refused for a UID_CONFLICT.
    """

    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    UNSUPPORTED_SYNTAX = "unsupported_syntax"
    UNSUPPORTED_PIXELS = "unsupported_pixels"
    NO_PIXELS = "no_pixels"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    BLANK = "blank"
    LOW_CONTRAST = "low_contrast"
    NOT_MR = "not_mr"
    NOT_BRAIN = "not_brain"
    MOSAIC = "mosaic"
    MULTIFRAME = "multiframe"
    LOCALIZER = "localizer"
    DERIVED = "derived"
    MISSING_UID = "missing_uid"
    BAD_UID = "bad_uid"
    UID_CONFLICT = "uid_conflict"
    BAD_HEADER = "bad_header"
    BAD_ARCHIVE = "bad_archive"
    TIMEOUT = "timeout"
    DUPLICATE = "duplicate"
    SERIES_NOT_SELECTED = "series_not_selected"


class TriageError(Exception):
    """Root of the errors this package raises on purpose."""


class RejectedError(TriageError):
    """Input that will never be readable. `sentence` tells the user what, where and what to do, and names no patient."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(f"{reason.value}: {sentence}")
        self.reason = reason
        self.sentence = sentence


class TooCostlyError(TriageError):
    """Reading a file took more time or memory than it may. A busy machine is no reason to refuse a scan at once."""


class TransientError(TriageError):
    """A step that may succeed later; the row is released and tried again."""


def io_error_name(error: OSError) -> str:
    """What went wrong, such as `ENOSPC`, for logs: the error's own text would name the file, which is patient data."""
    return errno.errorcode.get(error.errno or 0, "I/O error")
