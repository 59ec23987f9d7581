"""The door: sniff, dispatch, and what is said of the rest."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import worker.intake
from worker.domain import StudyKind
from worker.errors import Reason, RejectedError
from worker.intake import DEFAULT_LIMITS, FileType, file_type, identity_of_rejected, read_instance

MakeMr = Callable[..., Path]
SHA256 = "ef" * 32


def refusal(path: Path) -> Reason:
    with pytest.raises(RejectedError) as caught:
        read_instance(path, SHA256)
    sentence = caught.value.sentence
    assert sentence.endswith(".")
    assert path.name not in sentence
    return caught.value.reason


def test_content_decides_not_the_name(make_mr: MakeMr, tmp_path: Path, picture: npt.NDArray[np.int16]) -> None:
    assert read_instance(make_mr(name="really.jpg"), SHA256).header.kind is StudyKind.DICOM
    Image.fromarray((picture // 4).astype(np.uint8)).save(tmp_path / "really.dcm", "PNG")
    assert read_instance(tmp_path / "really.dcm", SHA256).header.kind is StudyKind.IMAGE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (b"hello", Reason.NOT_AN_IMAGE),
        (b"GIF89a" + bytes(100), Reason.UNSUPPORTED_TYPE),
        (b"PK\x03\x04" + bytes(100), Reason.UNSUPPORTED_TYPE),
        (bytes(128) + b"DICM", Reason.TRUNCATED),
        (bytes(128) + b"DICM\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10", Reason.NOT_AN_IMAGE),
        (b"\xff\xd8\xff" + bytes(100), Reason.UNREADABLE),
    ],
)
def test_refused(tmp_path: Path, data: bytes, reason: Reason) -> None:
    path = tmp_path / "Mustermann.dcm"
    path.write_bytes(data)
    assert refusal(path) is reason


def test_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    assert refusal(tmp_path / "pipe.dcm") is Reason.UNSUPPORTED_TYPE


def test_study_of_a_refused_file(make_mr: MakeMr, tmp_path: Path) -> None:
    path = make_mr(pixels=np.zeros((96, 80), np.uint16), name="blank.dcm")
    assert refusal(path) is Reason.BLANK
    assert identity_of_rejected(path, DEFAULT_LIMITS).study_uid == "1.2.3.2"
    for data in (b"hello", bytes(128) + b"DICM", b""):
        (tmp_path / "other").write_bytes(data)
        assert identity_of_rejected(tmp_path / "other", DEFAULT_LIMITS).study_uid is None


def test_file_type(make_mr: MakeMr) -> None:
    assert file_type(make_mr()) is FileType.DICOM


def test_exports_are_complete() -> None:
    assert all(hasattr(worker.intake, name) for name in worker.intake.__all__)
    assert worker.intake.__all__ == sorted(worker.intake.__all__)
