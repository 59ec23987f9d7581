"""DICOM files end to end: pixels, header, refusals, and damage of every kind."""

import logging
import random
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, Sequence
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from worker.domain import GreyRange, StudyKind
from worker.errors import Reason, RejectedError
from worker.intake.dicom import read_dicom, read_header
from worker.intake.display import SCALED_UNLIKE_SERIES, WINDOW_NOT_USED
from worker.intake.identity import identity_of_rejected
from worker.intake.limits import DEFAULT_LIMITS, IntakeLimits

MakeMr = Callable[..., Path]
RawElement = Callable[[int, str, bytes], Callable[[Dataset], object]]
WithValue = Callable[[str, object], Callable[[Dataset], object]]
SHA256 = "ab" * 32


def refusal(path: Path, limits: IntakeLimits = DEFAULT_LIMITS) -> Reason:
    with pytest.raises(RejectedError) as caught:
        read_dicom(path, SHA256, limits)
    return caught.value.reason


def pixels_of(path: Path) -> npt.NDArray[np.uint8]:
    return read_dicom(path, SHA256, DEFAULT_LIMITS).pixels


def set_all(**values: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def big_endian(dataset: Dataset) -> None:
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()


# -- pixels


def test_percentile_window(make_mr: MakeMr, picture: npt.NDArray[np.int16]) -> None:
    read = read_dicom(make_mr(), SHA256, DEFAULT_LIMITS)
    assert read.pixels.dtype == np.uint8
    assert read.pixels.shape == picture.shape == (96, 80)
    assert read.warning is None
    low, high = np.percentile(picture[picture > 0], [0.5, 99.5])
    expected = np.rint(np.clip((picture - low) / (high - low), 0, 1) * 255)
    assert np.abs(read.pixels - expected).max() <= 1


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian],
)
def test_every_lossless_syntax_gives_the_same_pixels(make_mr: MakeMr, syntax: str) -> None:
    assert np.array_equal(pixels_of(make_mr(syntax=syntax, name="other.dcm")), pixels_of(make_mr()))


def test_big_endian(make_mr: MakeMr) -> None:
    other = make_mr(big_endian, syntax=ExplicitVRBigEndian, name="big.dcm")
    assert np.array_equal(pixels_of(other), pixels_of(make_mr()))


def test_without_preamble(make_mr: MakeMr, tmp_path: Path) -> None:
    path = make_mr()
    expected = pixels_of(path)
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(pixels_of(bare), expected)


def test_signed_unsigned_and_8_bit_agree(make_mr: MakeMr, picture: npt.NDArray[np.int16]) -> None:
    signed = pixels_of(make_mr(pixels=picture, name="s.dcm"))
    assert np.array_equal(pixels_of(make_mr(pixels=picture.astype(np.uint16), name="u.dcm")), signed)
    eight = pixels_of(make_mr(pixels=(picture // 4).astype(np.uint8), name="e.dcm"))
    assert np.abs(eight.astype(int) - signed).max() <= 3


def test_negative_values_are_kept_apart(make_mr: MakeMr, picture: npt.NDArray[np.int16]) -> None:
    shifted = np.where(picture > 0, picture - 600, 0).astype(np.int16)
    assert np.array_equal(pixels_of(make_mr(pixels=shifted)) > 200, pixels_of(make_mr(name="b.dcm")) > 200)


def test_monochrome1_is_inverted(make_mr: MakeMr, with_value: WithValue) -> None:
    inverted = make_mr(with_value("PhotometricInterpretation", "MONOCHROME1"), name="m1.dcm")
    assert np.array_equal(pixels_of(inverted), 255 - pixels_of(make_mr()))


def test_a_negative_slope_inverts(make_mr: MakeMr) -> None:
    negative = make_mr(set_all(RescaleSlope=-1, RescaleIntercept=1000), name="negative.dcm")
    inside = pixels_of(make_mr()) > 0
    total = pixels_of(negative)[inside].astype(int) + pixels_of(make_mr())[inside]
    assert abs(total - 255).max() <= 1


def test_a_slope_that_is_lost_in_the_intercept_is_refused(make_mr: MakeMr) -> None:
    assert refusal(make_mr(set_all(RescaleSlope=1e-20, RescaleIntercept=1000))) is Reason.BAD_HEADER


def test_a_tiny_slope_alone_is_a_scale(make_mr: MakeMr) -> None:
    tiny = make_mr(set_all(RescaleSlope=1e-300, RescaleIntercept=0), name="tiny.dcm")
    assert np.array_equal(pixels_of(tiny), pixels_of(make_mr()))


def test_the_window_is_in_rescaled_units(make_mr: MakeMr, picture: npt.NDArray[np.int16]) -> None:
    windowed = make_mr(set_all(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=800, WindowWidth=1001))
    expected = np.rint(np.clip((picture * 2.0 - 100 - 799.5) / 1000 + 0.5, 0, 1) * 255)
    assert np.array_equal(pixels_of(windowed), expected)


@pytest.mark.parametrize(
    ("center", "width"),
    [
        (b"100", b"0"),
        (b"100", b"-5"),
        (b"NaN", b"NaN"),
        (b"abc", b"100"),
        (b"-9000", b"10"),
        (b"500", b"8"),
        (b"32768", b"65536"),
        (b"1e20", b"2"),
    ],
)
def test_a_bad_window_is_replaced(make_mr: MakeMr, raw_element: RawElement, center: bytes, width: bytes) -> None:
    def change(dataset: Dataset) -> None:
        raw_element(0x00281050, "DS", center)(dataset)
        raw_element(0x00281051, "DS", width)(dataset)

    read = read_dicom(make_mr(change, name="w.dcm"), SHA256, DEFAULT_LIMITS)
    assert np.array_equal(read.pixels, pixels_of(make_mr()))
    assert read.warning == WINDOW_NOT_USED


def test_the_range_of_a_series_takes_the_place_of_the_window(make_mr: MakeMr, picture: npt.NDArray[np.int16]) -> None:
    path = make_mr(set_all(WindowCenter=500, WindowWidth=1000))
    own = read_dicom(path, SHA256, DEFAULT_LIMITS)
    assert own.header.grey_range == GreyRange(0.0, 999.0)
    darker = read_dicom(path, SHA256, DEFAULT_LIMITS, GreyRange(0.0, 2000.0))
    assert darker.header.grey_range == GreyRange(0.0, 2000.0)
    assert int(darker.pixels.max()) == pytest.approx(255 * int(picture.max()) / 2000, abs=1)
    assert darker.warning is None


def test_an_unused_window_is_named_within_a_series_too(make_mr: MakeMr) -> None:
    path = make_mr(set_all(WindowCenter=-9000, WindowWidth=10))
    assert read_dicom(path, SHA256, DEFAULT_LIMITS, GreyRange(0.0, 2000.0)).warning == WINDOW_NOT_USED


def test_a_slice_of_another_scale_is_shown_by_itself(make_mr: MakeMr, picture: npt.NDArray[np.int16]) -> None:
    path = make_mr(pixels=(picture * 30).astype(np.int16))
    read = read_dicom(path, SHA256, DEFAULT_LIMITS, GreyRange(0.0, 1000.0))
    assert read.warning == SCALED_UNLIKE_SERIES
    assert np.array_equal(read.pixels, pixels_of(path))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_alone_and_by_its_own_range_are_the_same_picture(make_mr: MakeMr, function: str) -> None:
    path = make_mr(set_all(WindowCenter=600, WindowWidth=700, VOILUTFunction=function))
    alone = read_dicom(path, SHA256, DEFAULT_LIMITS)
    again = read_dicom(path, SHA256, DEFAULT_LIMITS, alone.header.grey_range)
    assert np.array_equal(again.pixels, alone.pixels)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_a_window_of_next_to_no_width_is_replaced(make_mr: MakeMr, function: str) -> None:
    path = make_mr(set_all(WindowCenter=500, WindowWidth=1e-14, VOILUTFunction=function))
    read = read_dicom(path, SHA256, DEFAULT_LIMITS)
    assert read.warning == WINDOW_NOT_USED
    assert np.array_equal(read.pixels, pixels_of(make_mr(name="plain.dcm")))


def lookup_table(dataset: Dataset) -> None:
    """A table that shows 200 to 800, dark values darker than a line would."""
    item = Dataset()
    item.LUTDescriptor = [601, 200, 16]
    item.LUTData = [round(65535 * (place / 600) ** 2) for place in range(601)]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    dataset.VOILUTSequence = [item]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_lookup_table_is_applied(make_mr: MakeMr, picture: npt.NDArray[np.int16], syntax: str) -> None:
    read = read_dicom(make_mr(lookup_table, syntax=syntax), SHA256, DEFAULT_LIMITS)
    expected = 255 * (np.clip(picture - 200.0, 0, 600) / 600) ** 2
    assert np.abs(read.pixels - expected).max() <= 1
    assert (read.header.grey_range, read.warning) == (GreyRange(200.0, 800.0), None)


def test_a_window_goes_before_a_lookup_table(make_mr: MakeMr) -> None:
    def both(dataset: Dataset) -> None:
        lookup_table(dataset)
        dataset.WindowCenter, dataset.WindowWidth = 500, 1000

    windowed = make_mr(set_all(WindowCenter=500, WindowWidth=1000), name="windowed.dcm")
    assert np.array_equal(pixels_of(make_mr(both)), pixels_of(windowed))


def test_an_empty_window_is_no_warning(make_mr: MakeMr) -> None:
    read = read_dicom(make_mr(set_all(WindowCenter=None, WindowWidth=None)), SHA256, DEFAULT_LIMITS)
    assert read.warning is None


def test_of_several_windows_the_first_good_one(make_mr: MakeMr) -> None:
    several = make_mr(set_all(WindowCenter=[0, 500, 100], WindowWidth=[0, 1000, 50]), name="several.dcm")
    one = make_mr(set_all(WindowCenter=500, WindowWidth=1000))
    assert np.array_equal(pixels_of(several), pixels_of(one))


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((96, 80), np.uint16), Reason.BLANK),
        (np.full((96, 80), 777, np.uint16), Reason.BLANK),
        (np.eye(96, 80, dtype=np.uint16), Reason.LOW_CONTRAST),
        (np.arange(64, dtype=np.uint16).reshape(8, 8), Reason.TOO_SMALL),
        (np.arange(20000, dtype=np.uint16).reshape(1, 20000), Reason.TOO_SMALL),
        (np.ones((3, 70, 70), np.uint16), Reason.MULTIFRAME),
    ],
)
def test_pictures_that_are_refused(make_mr: MakeMr, pixels: npt.NDArray[np.integer], reason: Reason) -> None:
    assert refusal(make_mr(pixels=pixels)) is reason


# -- header


def test_header(make_mr: MakeMr) -> None:
    header = read_dicom(
        make_mr(
            set_all(
                PatientID=" 007 ",
                PatientBirthDate="19700101",
                PatientSex="F",
                PatientAge="034Y",
                StudyDate="20240229",
                StudyDescription="Brain",
                SeriesDescription="T1 ax",
                SeriesNumber=3,
                InstanceNumber=12,
                PixelSpacing=[0.5, 0.25],
                ImagePositionPatient=[-10, 20.5, 30],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            )
        ),
        SHA256,
        DEFAULT_LIMITS,
    ).header
    assert (header.kind, header.sha256, header.modality) == (StudyKind.DICOM, SHA256, "MR")
    assert (header.study_uid, header.series_uid, header.sop_uid) == ("1.2.3.2", "1.2.3.3", "1.2.3.1")
    assert (header.series_description, header.series_number, header.instance_number) == ("T1 ax", 3, 12)
    patient = header.patient
    assert (patient.patient_name, patient.patient_id, patient.sex, patient.age) == ("Test^Anna", "007", "F", "034Y")
    assert (patient.birth_date, patient.study_date, patient.study_description) == ("19700101", "20240229", "Brain")
    geometry = header.geometry
    assert (geometry.rows, geometry.columns, geometry.spacing_mm) == (96, 80, (0.5, 0.25))
    assert geometry.position_mm == (-10, 20.5, 30)
    assert geometry.orientation == (1, 0, 0, 0, 1, 0)


def test_what_cannot_be_true_is_left_out(make_mr: MakeMr, raw_element: RawElement) -> None:
    def change(dataset: Dataset) -> None:
        for tag, vr, value in (
            (0x00080020, "DA", b"99999999"),
            (0x00100030, "DA", b"notadate"),
            (0x00101010, "AS", b"ABCY"),
            (0x00100040, "CS", b"X"),
            (0x00200013, "IS", b"1A"),
            (0x00280030, "DS", b"0\\0"),
            (0x00200032, "DS", b"NaN\\0\\0"),
            (0x00200037, "DS", b"0\\0\\0\\0\\0\\0"),
            (0x00100010, "PN", b"A" * 65534),
        ):
            raw_element(tag, vr, value)(dataset)

    header = read_dicom(make_mr(change), SHA256, DEFAULT_LIMITS).header
    patient, geometry = header.patient, header.geometry
    assert (patient.study_date, patient.birth_date, patient.age, patient.sex) == (None, None, None, None)
    assert (header.instance_number, geometry.spacing_mm, geometry.position_mm) == (None, None, None)
    assert geometry.orientation is None
    assert patient.patient_name == "A" * 256


def test_no_name_in_warnings_or_logs(
    make_mr: MakeMr, raw_element: RawElement, caplog: pytest.LogCaptureFixture
) -> None:
    def change(dataset: Dataset) -> None:
        raw_element(0x00080005, "CS", b"ISO_IR 999")(dataset)
        raw_element(0x00100010, "PN", b"SECRET\xff^NAME" * 20)(dataset)
        raw_element(0x00100020, "LO", b"SECRET" * 20)(dataset)

    path = make_mr(change)
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        read_dicom(path, SHA256, DEFAULT_LIMITS)
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    ("tag", "vr", "value", "reason"),
    [
        (0x00080060, "CS", b"CT", Reason.NOT_MR),
        (0x0020000D, "UI", b"../../etc/passwd", Reason.BAD_UID),
        (0x0020000D, "UI", b"", Reason.MISSING_UID),
        (0x00080018, "UI", b"1.2.\x00.3", Reason.BAD_UID),
        (0x00280008, "IS", b"1A", Reason.BAD_HEADER),
        (0x00281053, "DS", b"NaN", Reason.BAD_HEADER),
        (0x00281053, "DS", b"abcd", Reason.BAD_HEADER),
        (0x00180015, "CS", b"KNEE", Reason.NOT_BRAIN),
        (0x00080008, "CS", b"DERIVED\\PRIMARY\\DIFFUSION\\ADC", Reason.DERIVED),
        (0x00280010, "US", b"\xff\xff", Reason.TRUNCATED),
        (0x00280004, "CS", b"RGB", Reason.UNSUPPORTED_PIXELS),
    ],
)
def test_headers_that_are_refused(
    make_mr: MakeMr, raw_element: RawElement, tag: int, vr: str, value: bytes, reason: Reason
) -> None:
    assert refusal(make_mr(raw_element(tag, vr, value))) is reason


def test_read_header_and_study_uid(make_mr: MakeMr) -> None:
    path = make_mr()
    assert read_header(path, DEFAULT_LIMITS).Rows == 96
    assert "PixelData" not in read_header(path, DEFAULT_LIMITS)
    assert identity_of_rejected(path, DEFAULT_LIMITS).study_uid == "1.2.3.2"
    path.write_bytes(path.read_bytes()[:-9000])
    assert refusal(path) is Reason.TRUNCATED
    assert identity_of_rejected(path, DEFAULT_LIMITS).study_uid == "1.2.3.2"


# -- damage


def test_cut_anywhere_is_refused(make_mr: MakeMr) -> None:
    path = make_mr()
    whole = path.read_bytes()
    for end in [*range(132, 900, 7), len(whole) // 2, len(whole) - 2, len(whole) - 1]:
        path.write_bytes(whole[:end])
        assert refusal(path) in {
            Reason.TRUNCATED,
            Reason.UNREADABLE,
            Reason.NOT_MR,
            Reason.NO_PIXELS,
            Reason.MISSING_UID,
        }


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_cut_codestreams_are_refused(make_mr: MakeMr, syntax: str) -> None:
    path = make_mr(syntax=syntax)
    path.write_bytes(path.read_bytes()[:-40])
    assert refusal(path) is Reason.TRUNCATED


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, "1.2.840.10008.1.2.4.70", "1.2.3"])
def test_plain_pixels_under_a_compressed_label(make_mr: MakeMr, tmp_path: Path, syntax: str) -> None:
    path = make_mr()
    data = path.read_bytes()
    old, new = b"\x02\x00\x10\x00UI\x14\x00" + ExplicitVRLittleEndian.encode() + b"\0", syntax.encode()
    new += b"\0" * (len(new) % 2)
    other = tmp_path / "label.dcm"
    other.write_bytes(data.replace(old, old[:6] + len(new).to_bytes(2, "little") + new))
    assert other.read_bytes() != data
    assert refusal(other) in {Reason.UNREADABLE, Reason.UNSUPPORTED_SYNTAX}


def test_a_codestream_of_another_size_is_not_decoded(make_mr: MakeMr, tmp_path: Path) -> None:
    path = make_mr(syntax=JPEG2000Lossless)
    data = bytearray(path.read_bytes())
    at = data.find(b"\xff\x4f\xff\x51")
    data[at + 8 : at + 16] = (65000).to_bytes(4, "big") * 2
    lie = tmp_path / "lie.dcm"
    lie.write_bytes(data)
    assert refusal(lie) is Reason.BAD_HEADER


def test_a_deflated_bomb_is_not_inflated(make_mr: MakeMr, tmp_path: Path) -> None:
    path = make_mr(syntax=DeflatedExplicitVRLittleEndian)
    data = path.read_bytes()
    meta_end = 144 + int.from_bytes(data[140:144], "little")
    body = zlib.decompress(data[meta_end:], -zlib.MAX_WBITS)
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = tmp_path / "bomb.dcm"
    bomb.write_bytes(data[:meta_end] + stream.compress(body) + stream.compress(bytes(100_000_000)) + stream.flush())
    started = time.monotonic()
    assert refusal(bomb) is Reason.TOO_LARGE
    assert time.monotonic() - started < 5
    bomb.write_bytes(data[:-10])
    assert refusal(bomb) is Reason.TRUNCATED


def test_a_header_of_zeros_ends_soon(make_mr: MakeMr, tmp_path: Path) -> None:
    path = make_mr()
    data = path.read_bytes()
    meta_end = 144 + int.from_bytes(data[140:144], "little")
    zeros = tmp_path / "zeros.dcm"
    zeros.write_bytes(data[:meta_end] + bytes(20_000_000))
    started = time.monotonic()
    assert refusal(zeros) is Reason.UNREADABLE
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("depth", [150, 400])
def test_deep_sequences_end(make_mr: MakeMr, tmp_path: Path, depth: int) -> None:
    item = Dataset()
    for _ in range(3):
        parent = Dataset()
        parent.ReferencedImageSequence = Sequence([item])
        item = parent
    path = make_mr(set_all(ReferencedImageSequence=Sequence([item])))
    read_dicom(path, SHA256, DEFAULT_LIMITS)

    # pydicom cannot write this deep: sequences and items of undefined length (PS3.5 7.5.2), one inside the other
    data = path.read_bytes()
    at = data.find(b"\x08\x00\x18\x00UI")
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    deep = tmp_path / "deep.dcm"
    deep.write_bytes(data[:at] + opening * depth + closing * depth + data[at:])
    try:
        read_dicom(deep, SHA256, DEFAULT_LIMITS)
    except RejectedError as error:
        assert error.reason is Reason.UNREADABLE  # noqa: PT017  both outcomes are right


def test_limits_are_obeyed(make_mr: MakeMr) -> None:
    path = make_mr()
    assert refusal(path, IntakeLimits(max_file_bytes=1000)) is Reason.TOO_LARGE
    assert refusal(path, IntakeLimits(max_pixels=5000)) is Reason.TOO_LARGE
    assert refusal(path, IntakeLimits(min_side_px=128)) is Reason.TOO_SMALL
    assert refusal(path, IntakeLimits(max_elements=5)) is Reason.UNREADABLE


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_random_damage_is_refused_or_read(make_mr: MakeMr, syntax: str) -> None:
    path = make_mr(syntax=syntax)
    whole = path.read_bytes()
    random_bits = random.Random(7)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(random_bits.choice((1, 4, 16))):
            data[random_bits.randrange(128, min(len(data), 2500))] ^= 1 << random_bits.randrange(8)
        path.write_bytes(data)
        try:
            read = read_dicom(path, SHA256, DEFAULT_LIMITS)
        except RejectedError:
            continue
        assert read.pixels.shape == (read.header.geometry.rows, read.header.geometry.columns)


PACKAGED = {
    "MR_small.dcm": None,
    "MR_small_RLE.dcm": None,
    "MR_small_bigendian.dcm": None,
    "MR_small_implicit.dcm": None,
    "MR_small_jp2klossless.dcm": None,
    "MR_small_jpeg_ls_lossless.dcm": None,
    "MR_small_padded.dcm": None,
    "MR_truncated.dcm": Reason.TRUNCATED,
    "CT_small.dcm": Reason.NOT_MR,
    "reportsi.dcm": Reason.NOT_MR,
    "waveform_ecg.dcm": Reason.NOT_MR,
    "rtplan.dcm": Reason.NOT_MR,
    "rtstruct.dcm": Reason.NOT_MR,
    "liver_1frame.dcm": Reason.NOT_MR,
    "SC_rgb_jpeg_dcmtk.dcm": Reason.NOT_MR,
    "ExplVR_BigEndNoMeta.dcm": Reason.NOT_MR,
}


@pytest.mark.parametrize(("name", "reason"), PACKAGED.items())
def test_files_of_pydicom(name: str, reason: Reason | None) -> None:
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip(f"{name} is not in the wheel")
    path = Path(str(found))
    if reason is not None:
        assert refusal(path) is reason
        return
    reference = Path(str(get_testdata_file("MR_small.dcm", download=False)))
    assert np.array_equal(pixels_of(path), pixels_of(reference))
