"""Texts that must not leave: scans and file names full of them, and every spelling in which they may turn up."""

import base64
import json
import os
import re
from contextlib import suppress
from functools import cache
from urllib.parse import quote

from tests.worker.scans import archive, dicom_bytes, png, slice_dataset

SCRIPTS = {
    "ascii": "Sentinella",
    "latin": "Wächtergröße",
    "cyrillic": "Часовой",
    "chinese": "哨兵值守",
    "arabic": "حارسالباب",
}
DATES = {"birth": "19070319", "day": "20190723"}
NUMBERS = {"id": "S3NT1NEL", "accession": "ACC5ENT1NEL", "uid": "2.25.53173371"}
TELLING = (*SCRIPTS.values(), *DATES.values(), *NUMBERS.values(), "1907-03-19", "2019-07-23")

# One-byte sets of Western, Cyrillic and Arabic devices and file systems; Chinese; Windows.
CHARSETS = (
    "utf-8", "latin-1", "iso8859-5", "cp1251", "iso8859-6", "cp1256", "gb18030", "utf-16-le", "utf-16-be",
)  # fmt: skip
TAKEN_FOR = ("latin-1", "cp437")
"""How text of an unknown character set is read: DICOM's default, and that of zip archives."""
ASCII_RUN = re.compile(r"[ -~]{6,}")
BASE64_RUN = re.compile(rb"[A-Za-z0-9+/]{8,}")
BACKSLASHES = re.compile(rb"\\{2,}")


def full_of_sentinels(
    study: int, number: int, charset: str = "ISO_IR 192", script: str | None = None, **changes: object
) -> bytes:
    """A slice whose every element of text says something that must not leave, all in one script where it is named."""
    texts = SCRIPTS if script is None else dict.fromkeys(SCRIPTS, SCRIPTS[script])
    image = slice_dataset(study, number)
    image.SpecificCharacterSet = charset
    image.StudyInstanceUID = f"{NUMBERS['uid']}.{study}"
    image.SeriesInstanceUID = f"{image.StudyInstanceUID}.3"
    image.SOPInstanceUID = f"{image.SeriesInstanceUID}.{number}"
    image.PatientName = "^".join(texts.values())
    image.PatientID, image.AccessionNumber = NUMBERS["id"], NUMBERS["accession"]
    image.OtherPatientIDs, image.StudyID = NUMBERS["id"], NUMBERS["id"]
    image.PatientBirthDate, image.StudyDate, image.SeriesDate = DATES["birth"], DATES["day"], DATES["day"]
    image.StudyDescription, image.SeriesDescription = texts["ascii"], f"T1 {texts['cyrillic']}"
    image.InstitutionName, image.InstitutionAddress = texts["latin"], texts["chinese"]
    image.ReferringPhysicianName = image.PerformingPhysicianName = image.OperatorsName = texts["ascii"]
    image.PatientAddress, image.PatientComments, image.ImageComments = (texts["chinese"],) * 3
    image.ProtocolName, image.StationName = texts["ascii"], texts["ascii"]
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return dicom_bytes(image)


def telling_scans() -> tuple[dict[str, bytes], int]:
    """Valid, refused, doubled and archived scans by name, and how many files come of them."""
    ward, name = SCRIPTS["arabic"], SCRIPTS["chinese"]
    first, mislabelled = full_of_sentinels(1, 1), full_of_sentinels(8, 1, "ISO_IR 100", "latin")
    scans = {
        f"{ward}/{name}/{NUMBERS['id']}.dcm": first,
        f"{SCRIPTS['latin']}.dcm": full_of_sentinels(1, 2),
        f"stat/{DATES['birth']} {SCRIPTS['cyrillic']}.dcm": full_of_sentinels(1, 3, PatientID=f"{NUMBERS['id']}2"),
        f"{SCRIPTS['ascii']} again.dcm": first,
        f"{SCRIPTS['ascii']} ct.dcm": full_of_sentinels(2, 1, Modality="CT"),
        f"{SCRIPTS['ascii']} damaged.dcm": _damaged(full_of_sentinels(3, 1)),
        f"{SCRIPTS['ascii']} cut.dcm": first[: len(first) // 2],
        f"{SCRIPTS['ascii']} lost.dcm": full_of_sentinels(4, 1),
        f"{name}.png": png(1),
        f"{SCRIPTS['ascii']}.doc": "\n".join(TELLING).encode(),
        f"{SCRIPTS['ascii']}.zip": archive({f"{ward}/{name}.dcm": full_of_sentinels(5, 1), f"{name}.txt": b"text"}),
        f"{SCRIPTS['ascii']} bad.zip": archive({f"../{SCRIPTS['ascii']}": first}),
        _name_in("latin-1", SCRIPTS["latin"]): full_of_sentinels(6, 1, "ISO_IR 100", "latin"),
        _name_in("gb18030", name): full_of_sentinels(7, 1, "GB18030", "chinese"),
        f"{SCRIPTS['ascii']} mislabelled.dcm": mislabelled.replace(b"ISO_IR 100", b"ISO_IR 192"),
    }
    return scans, len(scans) + 2


def _damaged(content: bytes) -> bytes:
    """The same with dates and numbers that are none, which pydicom likes to quote."""
    rows = b"IS\x02\x001 "
    return content.replace(DATES["birth"].encode(), b"Sentinel").replace(rows, b"IS\x02\x00xy")


def _name_in(charset: str, text: str) -> str:
    """A file name as an older system's share gives it."""
    return os.fsdecode(f"{text}.dcm".encode(charset))


@cache
def forms(sentinel: str) -> frozenset[bytes]:
    """A text as headers, file systems, logs, JSON, Python and URLs write it, in every character set that has it."""
    found: set[bytes] = set()
    for text in (sentinel, sentinel.lower()):
        found |= {run.encode() for run in ASCII_RUN.findall(text)}  # what is left of it in any other set
        for charset in CHARSETS:
            with suppress(UnicodeEncodeError):
                found |= _spellings(text.encode(charset))
    return frozenset(found)


def _spellings(encoded: bytes) -> set[bytes]:
    """Bytes as they are, escaped, and in texts that somebody takes them for."""
    texts = {os.fsdecode(encoded), *(encoded.decode(charset) for charset in TAKEN_FOR)}
    return {encoded, repr(encoded)[2:-1].encode(), quote(encoded).encode()}.union(*map(_written, texts))


def _written(text: str) -> set[bytes]:
    return {
        text.encode(errors="surrogateescape"),
        text.encode("unicode_escape"),
        json.dumps(text)[1:-1].encode(),
        repr(text)[1:-1].encode(),
    }


def in_plain(content: bytes) -> bytes:
    """Content, and behind it what that quotes (a repr in JSON) and packs: Celery's messages are base64."""
    packed = (run if len(run) % 4 != 1 else run[:-1] for run in BASE64_RUN.findall(content))
    unpacked = (base64.b64decode(run + b"==") for run in packed)
    return b"\n".join((content, BACKSLASHES.sub(rb"\\", content), *unpacked))


def sentinels_in(content: bytes) -> set[str]:
    """Those of them that it tells, in whatever spelling."""
    plain = in_plain(content)
    return {sentinel for sentinel in TELLING if any(form in plain for form in forms(sentinel))}
