"""Enhanced MR: every frame a slice, where its functional groups say it lies, all shown alike (PS3.3 C.7.6.16)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from tests.worker.intake.conftest import MakeMr, head_picture
from worker.domain import GreyRange, ReadInstance
from worker.errors import Reason, RejectedError
from worker.intake import dicom
from worker.intake.decode import decode_frame
from worker.intake.dicom import read_dicom
from worker.intake.display import SCALED_UNLIKE_SERIES, WINDOW_NOT_USED
from worker.intake.facts import HeaderFacts
from worker.intake.frames import frame_datasets
from worker.intake.grey import StoredImage
from worker.intake.limits import DEFAULT_LIMITS
from worker.intake.parse import ParsedDicom

SHA256 = "00" * 32
Change = Callable[[Dataset], object]


def volume(*tops: int) -> npt.NDArray[np.int16]:
    """`(frames, rows, columns)`: heads, each as bright as its number."""
    return np.stack([head_picture(top=top) for top in tops])


def items(**macros: dict[str, object]) -> Dataset:
    """One item of functional groups: macro -> its elements."""
    groups = Dataset()
    for macro, elements in macros.items():
        item = Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        setattr(groups, macro, [item])
    return groups


def as_enhanced(*per_frame: Dataset, shared: Dataset | None = None) -> Change:
    def change(dataset: Dataset) -> None:
        dataset.SOPClassUID = EnhancedMRImageStorage
        dataset.PerFrameFunctionalGroupsSequence = list(per_frame)
        if shared is not None:
            dataset.SharedFunctionalGroupsSequence = [shared]

    return change


def read(path: Path) -> ReadInstance:
    return read_dicom(path, SHA256, DEFAULT_LIMITS)


def refusal(path: Path) -> Reason:
    with pytest.raises(RejectedError) as refused:
        read(path)
    return refused.value.reason


AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
SHARED = items(
    PixelMeasuresSequence={"PixelSpacing": [0.9, 0.8]}, PlaneOrientationSequence={"ImageOrientationPatient": AXIAL}
)


def lying_at(millimetres: float) -> Dataset:
    return items(PlanePositionSequence={"ImagePositionPatient": [1.0, 2.0, millimetres]})


def test_each_frame_lies_where_its_groups_say(make_mr: MakeMr) -> None:
    change = as_enhanced(lying_at(5.0), lying_at(-5.0), shared=SHARED)
    headers = read(make_mr(change, pixels=volume(500, 1000))).headers
    assert [header.frame for header in headers] == [1, 2]
    assert [header.geometry.position_mm for header in headers] == [(1.0, 2.0, 5.0), (1.0, 2.0, -5.0)]
    assert {header.geometry.spacing_mm for header in headers} == {(0.9, 0.8)}
    assert {header.geometry.orientation for header in headers} == {tuple(AXIAL)}
    assert len({header.sop_uid for header in headers}) == 1


def test_a_group_of_the_frame_wins_over_the_shared_one(make_mr: MakeMr) -> None:
    own = items(PixelMeasuresSequence={"PixelSpacing": [2.0, 2.0]})
    headers = read(make_mr(as_enhanced(own, lying_at(1.0), shared=SHARED), pixels=volume(500, 900))).headers
    assert [header.geometry.spacing_mm for header in headers] == [(2.0, 2.0), (0.9, 0.8)]
    assert headers[0].geometry.position_mm is None


def test_frames_without_groups_are_read_and_lie_nowhere(make_mr: MakeMr) -> None:
    headers = read(make_mr(as_enhanced(), pixels=volume(500, 900, 700))).headers
    assert [header.geometry.position_mm for header in headers] == [None] * 3


def test_groups_of_other_kinds_are_no_groups() -> None:
    dataset = Dataset()
    dataset.PerFrameFunctionalGroupsSequence = []
    dataset.PixelSpacing = [3, 3]
    assert [frame.PixelSpacing for frame in frame_datasets(dataset, 2)] == [[3, 3], [3, 3]]


def test_all_frames_are_shown_by_one_window(make_mr: MakeMr) -> None:
    faint, bright = (read(make_mr(as_enhanced(), pixels=volume(500, 1000))).frame_pixels(number) for number in (1, 2))
    # half as bright in the file, half as bright on the page: windows of their own would make both the same
    assert bright.max() > 240
    assert faint.max() < 0.55 * bright.max()


def test_the_window_is_that_of_the_middle_frame(make_mr: MakeMr) -> None:
    def window(width: float) -> Dataset:
        return items(FrameVOILUTSequence={"WindowCenter": width / 2, "WindowWidth": width})

    change = as_enhanced(window(100), window(2000), window(100))
    heads = volume(900, 1000, 900)
    shown = read(make_mr(change, pixels=heads)).frame_pixels(2)
    assert int(shown.max()) == pytest.approx(255 * int(heads[1].max()) / 2000, abs=2)


def test_a_rescale_of_the_groups_is_applied(make_mr: MakeMr) -> None:
    shared = items(
        PixelValueTransformationSequence={"RescaleSlope": 2.0, "RescaleIntercept": 100.0},
        FrameVOILUTSequence={"WindowCenter": 1100, "WindowWidth": 2000},
    )
    heads = volume(1000, 1000)
    shown = read(make_mr(as_enhanced(shared=shared), pixels=heads)).pixels
    assert int(shown.max()) == pytest.approx(255 * 2 * int(heads.max()) / 2000, abs=2)
    assert shown.min() == 0


@pytest.mark.parametrize("slopes", [(1.0, 2.0), (0.0, 0.0)])
def test_frames_of_several_scales_are_refused(make_mr: MakeMr, slopes: tuple[float, float]) -> None:
    scaled = (
        items(PixelValueTransformationSequence={"RescaleSlope": slope, "RescaleIntercept": 0.0}) for slope in slopes
    )
    assert refusal(make_mr(as_enhanced(*scaled), pixels=volume(500, 900))) is Reason.MULTIFRAME


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_every_syntax_gives_the_same_frames(make_mr: MakeMr, syntax: str) -> None:
    plain = read(make_mr(as_enhanced(), pixels=volume(500, 1000, 700)))
    packed = read(make_mr(as_enhanced(), pixels=volume(500, 1000, 700), syntax=syntax, name="packed.dcm"))
    assert len(packed.headers) == 3
    for number in (3, 1, 2):
        assert np.array_equal(plain.frame_pixels(number), packed.frame_pixels(number))


def claiming_three_frames(data: bytes) -> bytes:
    number_of_frames = b"\x28\x00\x08\x00IS\x02\x00"
    assert number_of_frames + b"2 " in data
    return data.replace(number_of_frames + b"2 ", number_of_frames + b"3 ")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_a_missing_frame_is_refused(make_mr: MakeMr, syntax: str) -> None:
    path = make_mr(as_enhanced(), pixels=volume(500, 1000), syntax=syntax)
    path.write_bytes(claiming_three_frames(path.read_bytes()))
    assert refusal(path) in {Reason.TRUNCATED, Reason.UNREADABLE}


def test_blank_frames_at_the_ends_are_frames(make_mr: MakeMr) -> None:
    pixels = volume(500, 1000, 700)
    pixels[0] = 0
    assert len(read(make_mr(as_enhanced(), pixels=pixels)).headers) == 3


def test_nothing_but_blank_frames_is_blank(make_mr: MakeMr) -> None:
    assert refusal(make_mr(as_enhanced(), pixels=np.zeros((3, 96, 80), np.int16))) is Reason.BLANK


def test_several_frames_in_a_classic_object_are_refused(make_mr: MakeMr) -> None:
    assert refusal(make_mr(pixels=volume(500, 1000))) is Reason.MULTIFRAME


# -- with the range of the series


SERIES = GreyRange(0.0, 1000.0)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames that were decoded, counted from 0."""
    indices: list[int] = []

    def counted(parsed: ParsedDicom, facts: HeaderFacts, index: int = 0) -> StoredImage:
        indices.append(index)
        return decode_frame(parsed, facts, index)

    monkeypatch.setattr(dicom, "decode_frame", counted)
    return indices


def shared_window(center: float, width: float, function: str = "LINEAR") -> Dataset:
    return items(FrameVOILUTSequence={"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function})


def test_every_frame_is_decoded_before_an_object_is_accepted(make_mr: MakeMr, decoded: list[int]) -> None:
    read(make_mr(as_enhanced(), pixels=volume(500, 1000, 700)))
    assert set(decoded) == {0, 1, 2}


@pytest.mark.parametrize("shared", [None, shared_window(500, 1000), shared_window(-9000, 10)])
def test_frames_are_decoded_when_they_are_wanted(make_mr: MakeMr, decoded: list[int], shared: Dataset | None) -> None:
    path = make_mr(as_enhanced(shared=shared), pixels=volume(500, 1000, 700, 800, 900))
    again = read_dicom(path, SHA256, DEFAULT_LIMITS, SERIES)
    assert decoded == [2]
    again.frame_pixels(5)
    assert decoded == [2, 4]


@pytest.mark.parametrize(
    ("shared", "warning"),
    [
        (None, None),
        (shared_window(500, 1000), None),
        (shared_window(600, 900, "SIGMOID"), None),
        (shared_window(-9000, 10), WINDOW_NOT_USED),
    ],
)
def test_alone_and_by_its_own_range_are_the_same_frames(
    make_mr: MakeMr, shared: Dataset | None, warning: str | None
) -> None:
    path = make_mr(as_enhanced(shared=shared), pixels=volume(500, 1000, 700))
    alone = read(path)
    again = read_dicom(path, SHA256, DEFAULT_LIMITS, alone.header.grey_range)
    assert again.warning == alone.warning == warning
    for number in (1, 2, 3):
        assert np.array_equal(again.frame_pixels(number), alone.frame_pixels(number))


def test_an_object_of_another_scale_is_shown_by_itself(make_mr: MakeMr) -> None:
    path = make_mr(as_enhanced(), pixels=volume(20_000, 30_000, 25_000))
    again = read_dicom(path, SHA256, DEFAULT_LIMITS, SERIES)
    assert again.warning == SCALED_UNLIKE_SERIES
    assert again.header.grey_range == read(path).header.grey_range


def test_a_frame_damaged_since_is_refused_when_it_is_wanted(make_mr: MakeMr) -> None:
    path = make_mr(as_enhanced(), pixels=volume(500, 1000, 700), syntax=JPEG2000Lossless)
    data = bytearray(path.read_bytes())
    last = data.rfind(b"\xff\x4f\xff\x51")  # start and size markers of a JPEG 2000 codestream
    data[last : last + 40] = bytes(40)
    path.write_bytes(data)
    assert refusal(path) is Reason.UNREADABLE
    again = read_dicom(path, SHA256, DEFAULT_LIMITS, SERIES)
    assert again.frame_pixels(1).shape == (96, 80)
    with pytest.raises(RejectedError) as refused:
        again.frame_pixels(3)
    assert refused.value.reason is Reason.UNREADABLE
