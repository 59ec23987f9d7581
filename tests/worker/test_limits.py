"""Each limit is a setting, and what goes beyond it is refused with one clear sentence."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.worker.scans import archive, dicom, enhanced, png
from worker.errors import Reason, RejectedError
from worker.intake import IntakeLimits, extract, read_instance
from worker.services import intake_limits
from worker.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
Door = Callable[[Path, IntakeLimits], object]


def read(path: Path, limits: IntakeLimits) -> object:
    return read_instance(path, "0" * 64, limits)


def unpack(path: Path, limits: IntakeLimits) -> object:
    return extract(path, Path(mkdtemp(dir=path.parent)), limits)


TWO = archive({"1.dcm": dicom(1, 1), "2.dcm": dicom(1, 2)})
CASES = [
    ("MAX_FILE_BYTES=1000", png(1), read, Reason.TOO_LARGE, "larger than the limit"),
    ("MAX_PIXELS=6000", png(1), read, Reason.TOO_LARGE, "more than 0.006 million pixels"),
    ("MAX_PIXELS=6000", dicom(1, 1), read, Reason.TOO_LARGE, "80 × 80 pixels"),
    ("MAX_FRAMES=2", enhanced(1, (0, 1, 2), (40, 50, 60)), read, Reason.TOO_LARGE, "3 frames"),
    ("MAX_ARCHIVE_BYTES=1000", TWO, unpack, Reason.TOO_LARGE, "larger than the limit"),
    ("MAX_ARCHIVE_ENTRIES=1", TWO, unpack, Reason.BAD_ARCHIVE, "more than 1 entries"),
]


@pytest.mark.parametrize(("setting", "content", "door", "reason", "words"), CASES)
def test_a_limit_refuses_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    setting: str,
    content: bytes,
    door: Door,
    reason: Reason,
    words: str,
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    door(path, intake_limits(Settings()))
    monkeypatch.setenv(*f"TRIAGE_{setting}".split("="))
    with pytest.raises(RejectedError) as refusal:
        door(path, intake_limits(Settings()))
    assert refusal.value.reason is reason
    assert words in refusal.value.sentence
    assert re.fullmatch(r"[A-Z][^.]*(\.\d[^.]*)*; [^.]*\.", refusal.value.sentence)


def test_the_ratio_of_an_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(deflated := archive_of_zeros(9_000_000, 3))
    assert 27_000_000 / len(deflated) > 200
    refused(path, "far more data")
    monkeypatch.setenv("TRIAGE_MAX_ARCHIVE_RATIO", "2000")
    unpack(path, intake_limits(Settings()))
    monkeypatch.setenv("TRIAGE_MAX_ARCHIVE_BYTES", "20000000")
    refused(path, "far more data")


def refused(path: Path, words: str) -> None:
    with pytest.raises(RejectedError, match=words):
        unpack(path, intake_limits(Settings()))


def archive_of_zeros(size: int, count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(count):
            packed.writestr(f"{number}.dcm", bytes(size))
    return buffer.getvalue()


def test_the_defaults_are_those_of_the_reader() -> None:
    assert intake_limits(Settings()) == IntakeLimits()


def test_the_page_names_every_limit() -> None:
    page = (REPOSITORY / "docs" / "limits.md").read_text(encoding="utf-8")
    names = [name for name in Settings.model_fields if name.startswith("max_") and name != "max_wait_seconds"]
    assert [name for name in names if f"`TRIAGE_{name.upper()}`" not in page] == []
