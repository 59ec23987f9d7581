"""Every parser's boundary: any bytes, and good files with damage. Only refusals come out, within time and memory."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.valuerep import VR

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import CONTROL, SHA256, TARGETS
from worker.errors import RejectedError
from worker.file_cost import bounded_cost
from worker.intake.acquisition import acquisition_of
from worker.intake.claimed_size import claimed_size
from worker.intake.codestream import frame_size
from worker.intake.elements import MAX_TEXT, quiet_pydicom
from worker.intake.facts import facts_of
from worker.intake.frames import frame_datasets
from worker.intake.headers import frame_headers
from worker.intake.limits import DEFAULT_LIMITS, MIB, IntakeLimits
from worker.intake.parse import ParsedDicom, PixelElement, PixelState, parse_dicom
from worker.intake.sniff import SNIFF_BYTES, FileType, sniff
from worker.intake.voi import views_of

# one scratch folder for all examples is what is wanted; a busy machine is no failure
BOUNDARY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
COST = IntakeLimits(max_file_seconds=10, max_file_memory_bytes=300 * MIB)
SEEDS = {target: list(seeds(target)) for target in TARGETS}
STARTS = [
    b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\x00\x11", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"II*\0", b"MM\0+", b"BM",
    b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8L", b"RIFF\0\0\0\0WEBPVP8 ", b"PK\x03\x04", b"PK\x05\x06",
    b"\0" * 128 + b"DICM", b"\x08\0\x05\0CS", b"\x08\0\0\0\x04\0\0\0", b"\xff\x4f\xff\x51", b"",
]  # fmt: skip
# elements that decide something, and those of text
TAGS = [
    0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x0008103E, 0x00100010, 0x00100020, 0x00100030,
    0x00100040, 0x00101010, 0x00180015, 0x00180081, 0x0020000D, 0x0020000E, 0x00200011, 0x00200013, 0x00200032,
    0x00200037, 0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280030, 0x00280100, 0x00281050,
    0x00281051, 0x00281053, 0x00283010, 0x52009229, 0x52009230,
]  # fmt: skip


@st.composite
def starting_right(draw: st.DrawFn) -> bytes:
    """Bytes behind a signature that some reader looks for."""
    return draw(st.sampled_from(STARTS)) + draw(st.binary(max_size=2000))


@st.composite
def damaged(draw: st.DrawFn, target: str) -> bytes:
    """A good file with some bytes changed, cut, or with a piece of it twice."""
    content = bytearray(draw(st.sampled_from(SEEDS[target])))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, min(len(content), 1500) - 1))
        content[at] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        start = draw(st.integers(0, len(content) - 1))
        content[start:start] = content[start : start + draw(st.integers(0, 200))]
    if draw(st.booleans()):
        del content[draw(st.integers(1, len(content))) :]
    return bytes(content)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boundaries")


def try_it(target: str, data: bytes, scratch: Path) -> None:
    folder = scratch / target
    folder.mkdir(exist_ok=True)
    (folder / "input").write_bytes(data)
    with bounded_cost(folder / "input", COST):
        TARGETS[target](data, folder)


@BOUNDARY
@given(starting_right())
def test_first_looks(data: bytes) -> None:
    assert sniff(data[:SNIFF_BYTES]) in FileType
    size = frame_size(data)
    assert size is None or size.components >= 0
    for kind in FileType:
        claimed = claimed_size(data, kind)
        assert claimed is None or min(claimed) >= 0


@pytest.mark.parametrize("target", TARGETS)
@BOUNDARY
@given(data=starting_right())
def test_any_bytes(target: str, data: bytes, scratch: Path) -> None:
    try_it(target, data, scratch)


@pytest.mark.parametrize("target", TARGETS)
@BOUNDARY
@given(data=st.data())
def test_damaged_files(target: str, data: st.DataObject, scratch: Path) -> None:
    try_it(target, data.draw(damaged(target)), scratch)


@BOUNDARY
@given(starting_right())
def test_headers_of_any_bytes(data: bytes) -> None:
    with quiet_pydicom():
        try:
            parsed = parse_dicom(data, DEFAULT_LIMITS)
        except RejectedError:
            return
        facts = facts_of(parsed)
    assert facts.area >= 0 or facts.rows is not None


@st.composite
def headers(draw: st.DrawFn) -> Dataset:
    """A header of any values, in any of the character sets, of any representation."""
    dataset = Dataset()
    charset = draw(st.sampled_from([*python_encoding, "nonsense", "ISO 2022 IR 87\\ISO 2022 IR 58"]))
    values = {0x00080005: ("CS", charset.encode())}
    for tag in draw(st.lists(st.sampled_from(TAGS), max_size=12)):
        text = st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore"))
        value = draw(st.one_of(st.binary(max_size=300), text, st.sampled_from([b"1E400", b"nan", b"-1", b"9" * 400])))
        values[tag] = draw(st.sampled_from([vr.value for vr in VR if len(vr.value) == 2])), value
    for tag, (vr, value) in values.items():
        dataset[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
    dataset.file_meta = Dataset()
    dataset.set_original_encoding(False, True)
    return dataset


@BOUNDARY
@given(headers())
def test_values_of_any_header(dataset: Dataset) -> None:
    with quiet_pydicom():
        parsed = ParsedDicom(dataset, "1.2.840.10008.1.2.1", PixelElement(PixelState.ABSENT))
        facts = facts_of(parsed)
        frames = frame_datasets(dataset, 2)
        views_of(dataset, frames[0])
        acquisition_of(dataset, frames[0])
        head, _ = frame_headers(dataset, facts, frames, SHA256)
    for text in (*vars(head.patient).values(), head.series_description):
        assert text is None or (0 < len(text) <= MAX_TEXT and not CONTROL.search(text))
