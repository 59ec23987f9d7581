"""Single header values: damaged ones are absent."""

import logging
import math
from collections.abc import Callable

import pytest
from pydicom import Dataset

from worker.intake.elements import (
    MAX_TEXT,
    cleaned,
    date_of,
    integer_of,
    is_valid_uid,
    items_of,
    number_of,
    numbers_of,
    private_integer,
    quiet_pydicom,
    text_of,
    texts_of,
)

RawElement = Callable[[int, str, bytes], Callable[[Dataset], object]]


def with_raw(raw_element: RawElement, tag: int, vr: str, value: bytes) -> Dataset:
    dataset = Dataset()
    raw_element(tag, vr, value)(dataset)
    return dataset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Anna ", "Anna"),
        ("A\x00B\nC\x1b[31m", "A B C [31m"),
        ("A\u2028B", "A B"),
        ("\x00 \x01", None),
        ("", None),
        ("\ud800", None),
        ("A\u200dB", "A\u200dB"),
        ("Ünsal^Jürgen", "Ünsal^Jürgen"),
        ("x" * 1000, "x" * MAX_TEXT),
    ],
)
def test_cleaned(text: str, expected: str | None) -> None:
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"20240229", "20240229"),
        (b"2024.02.29", "20240229"),
        (b"20230229", None),
        (b"99999999", None),
        (b"notadate", None),
        (b"", None),
    ],
)
def test_dates(raw_element: RawElement, value: bytes, expected: str | None) -> None:
    with quiet_pydicom():
        assert date_of(with_raw(raw_element, 0x00080020, "DA", value), "StudyDate") == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(b"12", 12), (b"-1", -1), (b"1A", None), (b"1\\2", None), (b"9999999999", None), (b"", 7)]
)
def test_integers(raw_element: RawElement, value: bytes, expected: int | None) -> None:
    with quiet_pydicom():
        dataset = with_raw(raw_element, 0x00280008, "IS", value)
        assert integer_of(dataset, "NumberOfFrames", absent=7) == expected


def test_numbers(raw_element: RawElement) -> None:
    with quiet_pydicom():
        assert number_of(Dataset(), "RescaleSlope", absent=1.0) == 1.0
        assert math.isnan(number_of(with_raw(raw_element, 0x00281053, "DS", b"abcd"), "RescaleSlope"))
        spacing = with_raw(raw_element, 0x00280030, "DS", b"0.5\\0.25")
        assert numbers_of(spacing, "PixelSpacing", 2) == (0.5, 0.25)
        assert numbers_of(spacing, "PixelSpacing", 3) is None
        assert numbers_of(with_raw(raw_element, 0x00280030, "DS", b"NaN\\1"), "PixelSpacing", 2) is None
        assert numbers_of(Dataset(), "PixelSpacing") is None


@pytest.mark.parametrize(
    ("charset", "name", "expected"),
    [
        (b"ISO_IR 192", "山田^太郎".encode(), "山田^太郎"),
        (b"ISO_IR 100", b"M\xfcller", "Müller"),
        (b"ISO_IR 192", b"M\xfcller^J", None),
        (b"ISO_IR 999", b"\xc4\xd6", None),
    ],
)
def test_names_in_any_character_set(raw_element: RawElement, charset: bytes, name: bytes, expected: str | None) -> None:
    dataset = with_raw(raw_element, 0x00080005, "CS", charset)
    raw_element(0x00100010, "PN", name)(dataset)
    with quiet_pydicom():
        found = text_of(dataset, "PatientName")
    assert found == expected if expected else found


def test_multi_valued_text(raw_element: RawElement) -> None:
    dataset = with_raw(raw_element, 0x0008103E, "LO", b"a\\b")
    assert text_of(dataset, "SeriesDescription") == "a\\b"
    dataset.ImageType = ["ORIGINAL", "M "]
    assert texts_of(dataset, "ImageType") == ("ORIGINAL", "M")
    assert texts_of(dataset, "Modality") == ()


@pytest.mark.parametrize("uid", ["1", "1.2.840.10008", "2.25." + "9" * 39, "1.02.3"])
def test_valid_uids(uid: str) -> None:
    assert is_valid_uid(uid)


@pytest.mark.parametrize("uid", ["", ".", "1.", "1..2", "1.2.x", "1.2\n", "../1", "1" * 65, "1.2.\u0663"])
def test_invalid_uids(uid: str) -> None:
    assert not is_valid_uid(uid)


def test_quiet_restores_the_logger() -> None:
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    with quiet_pydicom():
        assert logger.disabled
    assert logger.disabled is before


def test_items(raw_element: RawElement) -> None:
    item = Dataset()
    item.PatientID = "1"
    dataset = Dataset()
    assert items_of(dataset, "ReferencedImageSequence") == []
    dataset.ReferencedImageSequence = [item]
    assert items_of(dataset, "ReferencedImageSequence") == [item]
    with quiet_pydicom():
        damaged = items_of(with_raw(raw_element, 0x00081140, "SQ", b"\xff" * 8), "ReferencedImageSequence")
        assert sum(len(found) for found in damaged) == 0
        assert items_of(with_raw(raw_element, 0x00081140, "LO", b"text"), "ReferencedImageSequence") == []


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("US", b"\x24\x00", 36),
        ("SS", b"\xff\xff", -1),
        ("DS", b"27", 27),
        ("IS", b"27", 27),
        ("UN", b"27", 27),
        ("DS", b"2.5", None),
        ("DS", b"NaN", None),
        ("LO", b"many", None),
        ("US", b"\x01\x00\x02\x00", None),
        ("UN", b"\xff\xff", None),
        ("US", b"", None),
    ],
)
def test_integers_of_a_vendor(raw_element: RawElement, vr: str, value: bytes, expected: int | None) -> None:
    dataset = with_raw(raw_element, 0x00650010, "LO", b"Image Private Header")
    raw_element(0x00651050, vr, value)(dataset)
    with quiet_pydicom():
        assert private_integer(dataset, 0x0065, "Image Private Header", 0x50) == expected
        assert private_integer(dataset, 0x0065, "ANOTHER VENDOR", 0x50) is None
        assert private_integer(dataset, 0x0065, "Image Private Header", 0x51) is None
