"""Single values out of a pydicom data set: a damaged one is absent, never an exception, and never logged."""

import logging
import math
import re
import struct
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from pydicom import Dataset, config
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

MAX_TEXT = 256
UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
MAX_UID = 64
# Escape sequences that switch to another character set (PS3.5 6.1.2.5.3); pydicom leaves those of ISO 2022 IR 58 in the
# text, and those it does not know.
_DESIGNATION = re.compile(r"\x1b(?:\$[()]?|[()-])[@-Z]")

# pydicom converts values on access and has no common error class: converters raise ValueError and TypeError, lengths
# that do not fit BytesLengthException and struct.error, unknown VRs NotImplementedError, character sets LookupError,
# decimals ArithmeticError, nested sequences EOFError, OSError (the bytes are in memory, so it is never the disk's),
# KeyError (a LookupError), AttributeError and RecursionError.
VALUE_ERRORS = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings and log lines in: both quote header values, so patient names, as they are read."""
    logger: logging.Logger = config.logger
    was_disabled = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = was_disabled


def value_of(dataset: Dataset, keyword: str) -> object | None:
    """Return the value of an element, `None` when it is absent or empty.

    Raises:
        ValueError: the element is there and cannot be decoded.
    """
    try:
        value: object = dataset.get(keyword)
    except VALUE_ERRORS as error:
        raise ValueError(f"{keyword} cannot be decoded") from error
    if value is None or (isinstance(value, str | bytes | MultiValue | list) and len(value) == 0):
        return None
    return value


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, none when it is absent or damaged."""
    try:
        value = value_of(dataset, keyword)
        return list(value) if isinstance(value, Sequence) else []
    except VALUE_ERRORS:
        return []


def private_integer(dataset: Dataset, group: int, creator: str, element: int) -> int | None:
    """Return an integer of a vendor's block (PS3.5 7.8.1), `None` when it is absent or not one integer.

    In implicit VR a value that pydicom does not know is bytes: digits are read there, binary numbers are not.
    """
    try:
        value = dataset.private_block(group, creator)[element].value
        number = float(value.decode("ascii")) if isinstance(value, bytes) else float(value)
    except VALUE_ERRORS:
        return None
    return int(number) if number.is_integer() else None


def text_of(dataset: Dataset, keyword: str) -> str | None:
    """Return text without control characters, stripped, at most `MAX_TEXT` characters; `None` when nothing is left."""
    try:
        value = value_of(dataset, keyword)
        parts = value if isinstance(value, MultiValue) else [value]
        texts = [str(part) for part in parts if isinstance(part, str | int | float | PersonName)]
    except VALUE_ERRORS:
        return None
    return cleaned(_DESIGNATION.sub("", "\\".join(texts)))


def cleaned(text: str) -> str | None:
    """Replace control characters, line separators and surrogates by blanks, strip, bound; `None` when nothing is left.

    Format characters stay: joiners and direction marks belong to names in Arabic, Hebrew and Indic scripts.
    """
    bounded = text[: 4 * MAX_TEXT]
    kept = "".join(" " if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} else char for char in bounded)
    return kept.strip()[:MAX_TEXT].strip() or None


def texts_of(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the stripped upper-case values of a multi-valued CS element, empty when absent or damaged."""
    try:
        value = value_of(dataset, keyword)
    except ValueError:
        return ()
    parts = value if isinstance(value, MultiValue | list) else [value]
    return tuple(part.strip().upper() for part in parts if isinstance(part, str))


def number_of(dataset: Dataset, keyword: str, *, absent: float = math.nan) -> float:
    """Return a single number: `absent` when the element is missing or empty, NaN when it is not one number."""
    try:
        value = value_of(dataset, keyword)
        if value is None:
            return absent
        return float(value) if isinstance(value, str | int | float) else math.nan
    except VALUE_ERRORS:
        return math.nan


def integer_of(dataset: Dataset, keyword: str, *, absent: int | None = None) -> int | None:
    """Return a single integer: `absent` when missing or empty, `None` when it is not one integer of 32 bits."""
    number = number_of(dataset, keyword, absent=math.inf)
    if number == math.inf:
        return absent
    return int(number) if abs(number) < 2**31 and number.is_integer() else None


def numbers_of(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """Return finite numbers, `None` when absent, damaged, not finite, or not `count` of them."""
    try:
        value = value_of(dataset, keyword)
        parts = value if isinstance(value, MultiValue | list) else [value]
        numbers = tuple(float(part) for part in parts if isinstance(part, str | int | float))
    except VALUE_ERRORS:
        return None
    complete = len(numbers) == (len(parts) if count is None else count) > 0
    return numbers if complete and all(math.isfinite(number) for number in numbers) else None


def date_of(dataset: Dataset, keyword: str) -> str | None:
    """Return a DA value as `YYYYMMDD` (PS3.5 6.2), also from the retired `YYYY.MM.DD`; `None` for no real day."""
    text = (text_of(dataset, keyword) or "").replace(".", "")
    if not re.fullmatch(r"[0-9]{8}", text, re.ASCII):
        return None
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return text


def uid_of(dataset: Dataset, keyword: str) -> str | None:
    """Return a UID as it stands, not checked; `None` when absent or empty, an empty text when damaged."""
    try:
        value = value_of(dataset, keyword)
    except ValueError:
        return ""
    return None if value is None else str(value)


def is_valid_uid(uid: str) -> bool:
    """Whether a UID has digits, dots and at most 64 characters (PS3.5 9.1), so that it is safe as a file name too.

    Leading zeros in a component are forbidden there and common in files: they are let through.
    """
    return len(uid) <= MAX_UID and UID_PATTERN.fullmatch(uid) is not None
