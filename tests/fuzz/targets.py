"""What is fuzzed: bytes in; out come pixels within the limits, or a `RejectedError`. Anything else is a finding."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from worker.domain import ReadInstance
from worker.errors import RejectedError
from worker.intake.archives import extract
from worker.intake.claimed_size import claimed_size
from worker.intake.codestream import frame_size
from worker.intake.dicom import read_dicom
from worker.intake.identity import identity_of_rejected
from worker.intake.images import read_image
from worker.intake.limits import MIB, IntakeLimits
from worker.intake.read import read_instance
from worker.intake.sniff import SNIFF_BYTES, FileType, sniff

LIMITS = IntakeLimits(
    max_file_bytes=4 * MIB,
    max_pixels=1_000_000,
    max_frames=64,
    max_inflated_bytes=4 * MIB,
    inflate_free_bytes=1 * MIB,
    max_elements=2000,
    max_archive_bytes=8 * MIB,
    max_archive_entries=100,
)
SHA256 = "0" * 64
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Target = Callable[[bytes, Path], bool]
"""Takes the input and an empty folder; says whether the input was accepted."""


def images(data: bytes, scratch: Path) -> bool:
    """Pictures, and what looks at their headers."""
    sniff(data[:SNIFF_BYTES])
    for kind in FileType:
        claimed_size(data, kind)
    return _reads(lambda path: read_image(path, SHA256, LIMITS), data, scratch)


def dicom(data: bytes, scratch: Path) -> bool:
    """DICOM objects, and compressed frames by themselves."""
    frame_size(data)
    accepted = _reads(lambda path: read_dicom(path, SHA256, LIMITS), data, scratch)
    _reads(lambda path: read_instance(path, SHA256, LIMITS), data, scratch)
    name = identity_of_rejected(scratch / "input", LIMITS).series_name
    assert name is None or not CONTROL.search(name), "control characters in text"
    return accepted


def archives(data: bytes, scratch: Path) -> bool:
    """Archives: nothing is written but what is returned, and nothing of a refused one stays."""
    path, folder = scratch / "input", scratch / "unpacked"
    path.write_bytes(data)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        members = extract(path, folder, LIMITS)
    except RejectedError:
        assert list(folder.iterdir()) == [], "a refused archive leaves files"
        return False
    finally:
        assert {entry.name for entry in scratch.iterdir()} == {"input", "unpacked"}, "files outside of the folder"
    assert {member.path for member in members} == set(folder.iterdir()), "files nobody is told of"
    assert sum(member.size_bytes for member in members) <= LIMITS.max_archive_bytes
    assert not any(CONTROL.search(member.name) for member in members), "control characters in a name"
    return True


TARGETS: dict[str, Target] = {"images": images, "dicom": dicom, "archives": archives}


def _reads(read: Callable[[Path], ReadInstance], data: bytes, scratch: Path) -> bool:
    path = scratch / "input"
    path.write_bytes(data)
    try:
        found = read(path)
    except RejectedError:
        return False
    for number, header in enumerate(found.headers, start=1):
        pixels: np.ndarray[Any, Any] = found.frame_pixels(number)
        assert pixels.dtype == np.uint8, "not 8 bits"
        assert pixels.shape == (header.geometry.rows, header.geometry.columns), "not the size of the header"
        assert pixels.size <= LIMITS.max_pixels, "more pixels than allowed"
        for text in vars(header.patient).values():
            assert text is None or not CONTROL.search(text), "control characters in text"
    return True
