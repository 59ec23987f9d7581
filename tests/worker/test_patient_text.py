"""From a header in any character set to the page: read back from the PDF and from the worklist.

The names are those of the files that come with pydicom (also in `../shared/dicom/charset`), put into an MR image.
"""

import html
import warnings
from pathlib import Path

import pydicom.data
import pytest
from pydicom import config, dcmread
from pydicom.tag import Tag

from tests.reports.samples import pdfium_text
from tests.worker.conftest import ClockedServices
from tests.worker.scans import dicom_bytes, slice_dataset
from tests.worker.test_steps import Home
from worker.outbox import INDEX_NAME
from worker.store.models import StudyState

NAMED = Path(pydicom.data.__file__).parent / "charset_files"
NAMES = {
    "chrArab.dcm": "قباني^لنزار",
    "chrFren.dcm": "Buc^Jérôme",
    "chrFrenMulti.dcm": "Buc^Jérôme",
    "chrGerm.dcm": "Äneas^Rüdiger",
    "chrGreek.dcm": "Διονυσιος",
    "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw.dcm": "שרון^דבורה",
    "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti.dcm": "やまだ^たろう",
    "chrJapMultiExplicitIR6.dcm": "やまだ^たろう",
    "chrKoreanMulti.dcm": "김희중",
    "chrRuss.dcm": "Люкceмбypг",  # noqa: RUF001  some of its letters are Latin ones
    "chrX1.dcm": "Wang^XiaoDong=王^小東",
    "chrX2.dcm": "Wang^XiaoDong=王^小东",
}
PLACEHOLDER = "N"


def with_raw_text(charset: bytes | None, **values: bytes) -> bytes:
    """An MR image whose header holds these very bytes; values by DICOM keyword, of at most 64 bytes."""
    image = slice_dataset(1, 1)
    for keyword, value in values.items():
        setattr(image, keyword, PLACEHOLDER * (len(value) + len(value) % 2))
    if charset is not None:
        image.SpecificCharacterSet = "ISO_IR 192"
    content = dicom_bytes(image)
    if charset is not None:
        content = _replaced(content, 0x00080005, "CS", b"ISO_IR 192", charset)
    for keyword, value in values.items():
        padded = value + b" " * (len(value) % 2)
        content = _replaced(content, Tag(keyword), image[keyword].VR, PLACEHOLDER.encode() * len(padded), padded)
    return content


def _replaced(content: bytes, tag: int, vr: str, old: bytes, new: bytes) -> bytes:
    """An element with another value, explicit VR little endian with a length of 16 bits (PS3.5 7.1.2)."""
    new += b" " * (len(new) % 2)
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode()
    before = head + len(old).to_bytes(2, "little") + old
    assert content.count(before) == 1
    return content.replace(before, head + len(new).to_bytes(2, "little") + new)


@pytest.fixture
def home(services: ClockedServices) -> Home:
    return Home(services)


def reported(home: Home, content: bytes) -> tuple[str, str]:
    """Drop one slice; what its report and the worklist say."""
    home.drop("slice.dcm", content)
    home.run_when_quiet()
    assert home.study().state == StudyState.REPORTED
    (pdf,) = home.reports.iterdir()
    page = (home.settings.outbox / INDEX_NAME).read_text()
    return pdfium_text(pdf.read_bytes()), html.unescape(page)


def words(text: str) -> set[str]:
    """Words of a name: pdfium puts those of a right-to-left line in an order of its own."""
    return set(text.replace("^", " ").replace("=", " ").split())


@pytest.mark.parametrize(("file", "name"), NAMES.items(), ids=NAMES)
def test_a_name_is_printed_as_it_is_meant(home: Home, file: str, name: str) -> None:
    source = dcmread(NAMED / file, force=True)
    sets, raw = source.SpecificCharacterSet, source.get_item("PatientName").value
    charset = sets if isinstance(sets, str) else "\\".join(sets)
    report, page = reported(home, with_raw_text(charset.encode(), PatientName=raw.rstrip()))
    assert home.study().patient_name == name
    assert words(name) <= words(report)
    assert name in page


def test_all_other_text_too(home: Home) -> None:
    texts = {"PatientID": "病-7", "StudyDescription": "头部平扫", "SeriesDescription": "轴位"}
    encoded = {keyword: text.encode("gb18030") for keyword, text in texts.items()}
    report, _ = reported(home, with_raw_text(b"GB18030", **encoded))
    for text in texts.values():
        assert text in report


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (None, "Wang^王".encode()),
        (b"ISO_IR 192", b"Wang^M\xfcller"),
        (b"ISO_IR 192", "Wang^王".encode()[:-1]),
        (b"ISO_IR 100", "Wang^王".encode("gb18030")),
        (b"GB18030", b"Wang^\xff\xff\x81"),
        (b"GBK", "Wang^王".encode()),
        (b"\\ISO 2022 IR 87", "Wang^山田".encode("shift_jis")),
        (b"\\ISO 2022 IR 87", b"Wang^\x1b$B;3"),
        (b"\\ISO 2022 IR 149", b"Wang^\x1b$)C\xfb"),
        (b"\\ISO 2022 IR 999", b"Wang^\x1b$)Z\xfb\xf3"),
        (b"ISO 2022 IR 87\\ISO_IR 192", "Wang^王".encode()),
        (b"NO SUCH SET", b"Wang^\xe4\xf6"),
        (b"ISO_IR 192\\GB18030", "Wang^王".encode()),
        (b"\xff\xfe\x00", b"Wang^\xe4\xf6"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_wrong_character_set_stops_nothing(home: Home, charset: bytes | None, name: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what pydicom warns of quotes the name
        report, page = reported(home, with_raw_text(charset, PatientName=name))
    assert "Wang" in report
    assert "Wang" in page
    assert config.logger.disabled is False
