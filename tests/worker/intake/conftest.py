"""Synthetic inputs, made in the test's own folder."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

Change = Callable[[Dataset], object]
MakeMr = Callable[..., Path]

ROWS, COLUMNS = 96, 80


def head_picture(rows: int = ROWS, columns: int = COLUMNS, top: int = 1000) -> npt.NDArray[np.int16]:
    """A bright disc with a gradient on zero background, `(rows, columns)` int16, 0..top."""
    y, x = np.mgrid[0:rows, 0:columns]
    inside = (y - rows / 2) ** 2 + (x - columns / 2) ** 2 < (min(rows, columns) * 0.4) ** 2
    return np.where(inside, top * (0.2 + 0.8 * (x + y) / (rows + columns - 2)), 0).astype(np.int16)


def mr_dataset(pixels: npt.NDArray[np.integer]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = "1.2.3.1"
    dataset.StudyInstanceUID = "1.2.3.2"
    dataset.SeriesInstanceUID = "1.2.3.3"
    dataset.Modality = "MR"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    dataset.PatientName = "Test^Anna"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        dataset.NumberOfFrames = pixels.shape[0]
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    return dataset


@pytest.fixture
def make_mr(tmp_path: Path) -> MakeMr:
    """A factory for one MR file: `make_mr(change, pixels=…, syntax=…, name=…) -> Path`."""

    def make(
        change: Change | None = None,
        *,
        pixels: npt.NDArray[np.integer] | None = None,
        syntax: str = ExplicitVRLittleEndian,
        name: str = "slice.dcm",
    ) -> Path:
        dataset = mr_dataset(head_picture() if pixels is None else pixels)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bad values are written on purpose
            if change is not None:
                change(dataset)
            path = tmp_path / name
            if syntax in COMPRESSED:
                dataset.compress(syntax, encoding_plugin=COMPRESSED[syntax])
            dataset.file_meta.TransferSyntaxUID = syntax
            # Named here, since UIDs are broken on purpose too.
            dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", MRImageStorage)
            dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
            dataset.save_as(path, enforce_file_format=True)
        return path

    return make


COMPRESSED = {
    "1.2.840.10008.1.2.5": "pydicom",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
}


def raw(tag: int, vr: str, value: bytes) -> Change:
    """A change that puts in a value pydicom itself would refuse to write."""

    def change(dataset: Dataset) -> None:
        padded = value + b" " * (len(value) % 2)
        dataset[tag] = RawDataElement(Tag(tag), vr, len(padded), padded, 0, False, True)

    return change


def attribute(keyword: str, value: object) -> Change:
    return lambda dataset: setattr(dataset, keyword, value)


@pytest.fixture
def raw_element() -> Callable[[int, str, bytes], Change]:
    return raw


@pytest.fixture
def with_value() -> Callable[[str, object], Change]:
    return attribute


@pytest.fixture
def picture() -> npt.NDArray[np.int16]:
    """`(96, 80)` int16, 0..1000."""
    return head_picture()
