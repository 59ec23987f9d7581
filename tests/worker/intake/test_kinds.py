"""Kinds of frame: ImageType, what refines it, and what vendors write into blocks of their own."""

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
)

from tests.worker.intake.conftest import MakeMr, head_picture
from worker.errors import Reason, RejectedError
from worker.intake.dicom import read_dicom
from worker.intake.kinds import kinds_of, spelt_alike
from worker.intake.limits import DEFAULT_LIMITS

Change = Callable[[Dataset], None]


def image(image_type: str, **others: str) -> Dataset:
    dataset = Dataset()
    dataset.ImageType = image_type.split("\\")
    for keyword, value in others.items():
        setattr(dataset, keyword, value)
    return dataset


def groups(frame_type: str, **others: str) -> Dataset:
    """One item of functional groups with a frame type."""
    item, group = Dataset(), Dataset()
    item.FrameType = frame_type.split("\\")
    for keyword, value in others.items():
        setattr(item, keyword, value)
    group.MRImageFrameTypeSequence = [item]
    return group


def kinds(dataset: Dataset) -> set[str]:
    """Each kind as its terms in alphabetical order."""
    return {" ".join(sorted(kind)) for kind in kinds_of(dataset)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PHASE MAP", "PHASEMAP"), ("min_ip", "MINIP"), ("T2*", "T2"), ("L-SPINE", "LSPINE"), ("", "")],
)
def test_spelling(text: str, expected: str) -> None:
    assert spelt_alike(text) == expected


def test_a_classic_image_is_of_one_kind() -> None:
    assert kinds(image(r"ORIGINAL\PRIMARY\PHASE MAP\P\FFE")) == {"FFE ORIGINAL P PHASEMAP PRIMARY"}
    assert kinds(Dataset()) == {""}


def test_what_refines_the_image_type_counts() -> None:
    dataset = image(r"ORIGINAL\PRIMARY", ComplexImageComponent="PHASE", AcquisitionContrast="FLOW_ENCODED")
    dataset.VolumeBasedCalculationTechnique, dataset.VolumetricProperties = "MIN_IP", "DISTORTED"
    assert kinds(dataset) == {"FLOWENCODED MINIP ORIGINAL PHASE PRIMARY"}


def test_frames_of_several_kinds() -> None:
    dataset = image(r"ORIGINAL\PRIMARY\T1\MIXED")
    dataset.SharedFunctionalGroupsSequence = [groups("ORIGINAL\\PRIMARY\\T1")]
    dataset.PerFrameFunctionalGroupsSequence = [Dataset(), groups("ORIGINAL\\PRIMARY\\T1\\FIELD_MAP"), Dataset()]
    assert kinds(dataset) == {"MIXED ORIGINAL PRIMARY T1", "FIELDMAP MIXED ORIGINAL PRIMARY T1"}


def test_a_kind_that_all_frames_share() -> None:
    dataset = image(r"ORIGINAL\PRIMARY")
    dataset.SharedFunctionalGroupsSequence = [groups("DERIVED\\PRIMARY", ComplexImageComponent="PHASE")]
    assert kinds(dataset) == {"DERIVED ORIGINAL PHASE PRIMARY"}


@pytest.mark.parametrize("value", [[], [Dataset()]])
def test_empty_groups_say_nothing(value: list[Dataset]) -> None:
    dataset = image("ORIGINAL")
    dataset.PerFrameFunctionalGroupsSequence = value
    assert kinds(dataset) == {"ORIGINAL"}


# -- in files


def enhanced(sop_class: str, *per_frame: Dataset) -> Change:
    def change(dataset: Dataset) -> None:
        dataset.SOPClassUID = sop_class
        dataset.PerFrameFunctionalGroupsSequence = list(per_frame)

    return change


def in_block(group: int, creator: str, element: int, vr: str, value: object) -> Change:
    def change(dataset: Dataset) -> None:
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)

    return change


def refusal(make_mr: MakeMr, change: Change, frames: int = 1, syntax: str = ExplicitVRLittleEndian) -> Reason | None:
    pixels = np.stack([head_picture()] * frames) if frames > 1 else head_picture()
    try:
        read_dicom(make_mr(change, pixels=pixels, syntax=syntax), "00" * 32, DEFAULT_LIMITS)
    except RejectedError as error:
        return error.reason
    return None


MAGNITUDE = groups("ORIGINAL\\PRIMARY\\T1\\NONE", ComplexImageComponent="MAGNITUDE", AcquisitionContrast="T1")
PHASE = groups("ORIGINAL\\PRIMARY\\T1\\NONE", ComplexImageComponent="PHASE", AcquisitionContrast="T1")
PROJECTION = groups("DERIVED\\PRIMARY\\ANGIO\\NONE", VolumeBasedCalculationTechnique="MAX_IP")
UNCORRECTED = groups("ORIGINAL\\PRIMARY\\M\\NONE", VolumetricProperties="DISTORTED")
TIME_SERIES = groups("ORIGINAL\\PRIMARY\\PERFUSION\\NONE", AcquisitionContrast="PERFUSION")
LOCALIZER = groups("ORIGINAL\\PRIMARY\\LOCALIZER\\NONE")


@pytest.mark.parametrize("sop_class", [EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage])
@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ((MAGNITUDE, MAGNITUDE), None),
        ((UNCORRECTED, UNCORRECTED), None),
        ((PHASE, PHASE), Reason.DERIVED),
        ((PROJECTION, PROJECTION), Reason.DERIVED),
        ((MAGNITUDE, PHASE), Reason.MULTIFRAME),
        ((TIME_SERIES, TIME_SERIES), Reason.MULTIFRAME),
        ((LOCALIZER, LOCALIZER), Reason.LOCALIZER),
    ],
)
def test_enhanced_objects(
    make_mr: MakeMr, sop_class: str, frames: tuple[Dataset, ...], expected: Reason | None
) -> None:
    assert refusal(make_mr, enhanced(sop_class, *frames), frames=len(frames)) is expected


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (in_block(0x0043, "GEMS_PARM_01", 0x2F, "SS", 0), None),
        (in_block(0x0043, "GEMS_PARM_01", 0x2F, "SS", 1), Reason.DERIVED),
        (in_block(0x0043, "GEMS_PARM_01", 0x2F, "SS", 2), None),
        (in_block(0x0043, "GEMS_PARM_01", 0x2F, "SS", 3), Reason.DERIVED),
        (in_block(0x0043, "ANOTHER VENDOR", 0x2F, "SS", 1), None),
        (in_block(0x0019, "GEMS_ACQU_01", 0x17, "SS", 4), None),
        (in_block(0x0019, "GEMS_ACQU_01", 0x17, "SS", 256), Reason.LOCALIZER),
        (in_block(0x0019, "SIEMENS MR HEADER", 0x0A, "US", 1), None),
        (in_block(0x0019, "SIEMENS MR HEADER", 0x0A, "US", 36), Reason.MOSAIC),
        (in_block(0x0065, "Image Private Header", 0x50, "DS", "27"), Reason.MOSAIC),
    ],
)
def test_what_vendors_write_elsewhere(make_mr: MakeMr, change: Change, expected: Reason | None, syntax: str) -> None:
    assert refusal(make_mr, change, syntax=syntax) is expected


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "PALETTE COLOR", "ARGB", ""])
def test_colour_is_refused(make_mr: MakeMr, with_value: Callable[[str, object], Change], photometric: str) -> None:
    assert refusal(make_mr, with_value("PhotometricInterpretation", photometric)) is Reason.UNSUPPORTED_PIXELS


def test_colour_of_three_samples_is_refused(make_mr: MakeMr) -> None:
    def change(dataset: Dataset) -> None:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "RGB"
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PixelData = bytes(3 * dataset.Rows * dataset.Columns)

    assert refusal(make_mr, change) is Reason.UNSUPPORTED_PIXELS
