"""How slices were acquired, from classic and enhanced headers, and what refused files were part of."""

from pathlib import Path

import pytest
from pydicom import Dataset

from tests.worker.scans import dicom_bytes, enhanced, slice_dataset, write
from worker.domain import Acquisition
from worker.intake import DEFAULT_LIMITS, read_instance
from worker.intake.acquisition import acquisition_of
from worker.intake.frames import frame_datasets
from worker.intake.identity import Identity, identity_of_rejected


def acquired(dataset: Dataset, frames: int = 1) -> list[Acquisition]:
    return [acquisition_of(dataset, frame) for frame in frame_datasets(dataset, frames)]


def test_a_classic_header() -> None:
    dataset = slice_dataset(7, 1)
    dataset.EchoTime, dataset.RepetitionTime, dataset.InversionTime = "2.5", "2300", "900"
    dataset.ScanningSequence, dataset.ContrastBolusAgent = ["GR", "IR"], "Gadovist"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.TemporalPositionIdentifier, dataset.AcquisitionNumber = 2, 3
    assert acquired(dataset) == [
        Acquisition(2.5, 2300.0, 900.0, True, has_contrast_agent=True, image_type=("M", "ND"), time_point=2, number=3)
    ]


@pytest.mark.parametrize("agent", ["", "NONE", "no"])
def test_an_agent_that_is_none(agent: str) -> None:
    dataset = slice_dataset(7, 1)
    dataset.ContrastBolusAgent = agent
    assert acquired(dataset) == [Acquisition()]


def test_damaged_and_impossible_values_are_left_out() -> None:
    dataset = slice_dataset(7, 1)
    dataset.EchoTime, dataset.RepetitionTime = "-1", "0"
    assert acquired(dataset) == [Acquisition()]


def test_the_functional_groups_of_an_enhanced_object() -> None:
    dataset = Dataset()
    dataset.EchoPulseSequence, dataset.EchoPlanarPulseSequence = "GRADIENT", "YES"
    timing, modifier, shared = Dataset(), Dataset(), Dataset()
    timing.RepetitionTime, modifier.InversionTimes = 9000.0, [2500.0]
    shared.MRTimingAndRelatedParametersSequence, shared.MRModifierSequence = [timing], [modifier]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number, echo_time in enumerate((12.0, 95.0), start=1):
        groups, echo, content, kind = Dataset(), Dataset(), Dataset(), Dataset()
        echo.EffectiveEchoTime, content.TemporalPositionIndex = echo_time, number
        content.FrameAcquisitionNumber = 10 + number
        kind.FrameType = ["ORIGINAL", "PRIMARY", "FLAIR", "NONE"]
        groups.MREchoSequence, groups.FrameContentSequence = [echo], [content]
        groups.MRImageFrameTypeSequence = [kind]
        frames.append(groups)
    dataset.PerFrameFunctionalGroupsSequence = frames
    common = {"is_gradient_echo": True, "is_echo_planar": True, "image_type": ("FLAIR", "NONE")}
    assert acquired(dataset, 2) == [
        Acquisition(12.0, 9000.0, 2500.0, time_point=1, number=11, **common),  # type: ignore[arg-type]
        Acquisition(95.0, 9000.0, 2500.0, time_point=2, number=12, **common),  # type: ignore[arg-type]
    ]


def test_it_is_in_the_headers_of_what_is_read(tmp_path: Path) -> None:
    classic = slice_dataset(7, 1)
    classic.EchoTime = 12.5
    write(tmp_path, {"1.dcm": dicom_bytes(classic), "2.dcm": enhanced(8, [1, 2], [40, 50])})
    assert read_instance(tmp_path / "1.dcm", "", DEFAULT_LIMITS).header.acquisition.echo_time_ms == 12.5
    assert [head.acquisition for head in read_instance(tmp_path / "2.dcm", "", DEFAULT_LIMITS).headers] == [
        Acquisition()
    ] * 2


class TestIdentity:
    @pytest.mark.parametrize(
        ("description", "number", "name"), [("Scout", 3, "Scout"), ("", 3, "Series 3"), (None, None, None)]
    )
    def test_study_and_series(
        self, tmp_path: Path, description: str | None, number: int | None, name: str | None
    ) -> None:
        dataset = slice_dataset(7, 1)
        dataset.SeriesDescription, dataset.SeriesNumber = description, number
        write(tmp_path, {"1.dcm": dicom_bytes(dataset)})
        assert identity_of_rejected(tmp_path / "1.dcm", DEFAULT_LIMITS) == Identity("1.2.7", name)

    def test_a_file_cut_within_its_pixels(self, tmp_path: Path) -> None:
        dataset = slice_dataset(7, 1)
        dataset.SeriesDescription = "T1"
        write(tmp_path, {"1.dcm": dicom_bytes(dataset)[:-2000]})
        assert identity_of_rejected(tmp_path / "1.dcm", DEFAULT_LIMITS) == Identity("1.2.7", "T1")

    @pytest.mark.parametrize("content", [b"", b"not a scan " * 30, b"\x89PNG\r\n\x1a\n" + b"\0" * 90])
    def test_anything_else_is_part_of_nothing(self, tmp_path: Path, content: bytes) -> None:
        write(tmp_path, {"1.dcm": content})
        assert identity_of_rejected(tmp_path / "1.dcm", DEFAULT_LIMITS) == Identity()

    def test_an_impossible_study_is_none(self, tmp_path: Path) -> None:
        content = dicom_bytes(slice_dataset(77777, 1))
        assert content.count(b"1.2.77777\0") == 1
        write(tmp_path, {"1.dcm": content.replace(b"1.2.77777\0", b"../../etc\0")})
        assert identity_of_rejected(tmp_path / "1.dcm", DEFAULT_LIMITS).study_uid is None
