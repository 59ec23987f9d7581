"""Names and descriptions in any character set, rightly and wrongly declared, never stop a file (PS3.3 C.12.1.1.2)."""

from collections.abc import Callable

import pytest
from pydicom import Dataset

from tests.worker.intake.conftest import MakeMr
from worker.domain import InstanceHeader
from worker.intake.dicom import read_dicom
from worker.intake.limits import DEFAULT_LIMITS

RawElement = Callable[[int, str, bytes], Callable[[Dataset], object]]

NAMES = [
    ("ISO_IR 100", "Müller^Jörg".encode("iso8859-1"), "Müller^Jörg"),
    ("ISO_IR 101", "Dvořák^Antonín".encode("iso8859-2"), "Dvořák^Antonín"),
    ("ISO_IR 144", "Люксембург".encode("iso8859-5"), "Люксембург"),
    ("ISO_IR 127", "قباني^لنزار".encode("iso8859-6"), "قباني^لنزار"),
    ("ISO_IR 126", "Διονυσιος".encode("iso8859-7"), "Διονυσιος"),
    ("ISO_IR 138", "שרון^דבורה".encode("iso8859-8"), "שרון^דבורה"),
    ("ISO_IR 148", "Çavuşoğlu".encode("iso8859-9"), "Çavuşoğlu"),
    ("ISO_IR 166", "นามสกุล^ชื่อ".encode("tis-620"), "นามสกุล^ชื่อ"),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ".encode("shift_jis"), "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("ISO_IR 192", "山田^太郎 🧠".encode(), "山田^太郎 🧠"),
    ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
    ("GBK", "王^小东".encode("gbk"), "王^小东"),
    # PS3.5 H.3.1, I.2, K.2: other sets by escape sequences
    (r"\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
    (r"\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong=洪^吉洞"),
    (r"\ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang=张^小东"),
    (r"\ISO 2022 IR 87\ISO 2022 IR 159", b"Yamada=\x1b$B;3\x1b$(D0!\x1b(B", "Yamada=山丂"),
    (r"ISO 2022 IR 100\ISO 2022 IR 144", b"M\xfcller=\x1b-L\xbb\xee\xda", "Müller=Люк"),
]


def header(make_mr: MakeMr, change: Callable[[Dataset], object]) -> InstanceHeader:
    return read_dicom(make_mr(change), "00" * 32, DEFAULT_LIMITS).header


@pytest.mark.parametrize(("charset", "encoded", "name"), NAMES)
def test_names(make_mr: MakeMr, raw_element: RawElement, charset: str, encoded: bytes, name: str) -> None:
    def change(dataset: Dataset) -> None:
        raw_element(0x00080005, "CS", charset.encode())(dataset)
        raw_element(0x00100010, "PN", encoded)(dataset)

    assert header(make_mr, change).patient.patient_name == name


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030"])
def test_descriptions(make_mr: MakeMr, charset: str) -> None:
    def change(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = charset
        dataset.StudyDescription, dataset.SeriesDescription = "头部平扫", "轴位 T1"

    read = header(make_mr, change)
    assert (read.patient.study_description, read.series_description) == ("头部平扫", "轴位 T1")


WRONG = [
    b"ISO_IR 999",
    b"ISO 2022 IR 87",
    b"ISO 2022 IR 6\\ISO 2022 IR 999",
    b"\\\\\\",
    b"utf-8",
    b"ISO-IR 100",
    b"ISO_IR 100\\ISO_IR 192",
    b"GB18030\\ISO 2022 IR 87",
    b"\xff\xfe",
    b"x" * 200,
    b"",
]
BYTES = [
    "Müller^Jörg".encode(),
    "Müller^Jörg".encode("latin-1"),
    "山田^太郎".encode("shift_jis"),
    "山田^太郎".encode("iso2022_jp"),
    "홍^길동".encode("euc_kr"),
    "王^小东".encode("gb18030"),
    b"\x1b$B\x1b(B\x1b",  # escapes to nowhere
    b"\x1b$)C\xfb",  # half a character
    b"\x00\x01\xfe\xff",
    b"\xff" * 63,
]


@pytest.mark.parametrize("charset", [*WRONG, b"ISO_IR 192", b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"GB18030"])
@pytest.mark.parametrize("name", BYTES)
def test_wrongly_declared(make_mr: MakeMr, raw_element: RawElement, charset: bytes, name: bytes) -> None:
    def change(dataset: Dataset) -> None:
        raw_element(0x00080005, "CS", charset)(dataset)
        raw_element(0x00100010, "PN", name)(dataset)
        raw_element(0x00081030, "LO", name)(dataset)
        raw_element(0x0008103E, "LO", name)(dataset)
        raw_element(0x00181030, "LO", name)(dataset)
        raw_element(0x00180015, "CS", name)(dataset)

    read = header(make_mr, change)
    for text in (read.patient.patient_name, read.patient.study_description, read.series_description):
        assert text is None or (text.isprintable() and text.encode("utf-8", "strict"))


def test_ascii_in_spite_of_a_wrong_declaration(make_mr: MakeMr, raw_element: RawElement) -> None:
    for charset in WRONG:

        def change(dataset: Dataset, charset: bytes = charset) -> None:
            raw_element(0x00080005, "CS", charset)(dataset)
            raw_element(0x00100010, "PN", b"Test^Anna")(dataset)

        assert header(make_mr, change).patient.patient_name == "Test^Anna", charset
