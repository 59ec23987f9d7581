"""Slices of made-up studies: real pixels of a series, in files that say they are of somebody and somewhere else."""

import os
from collections.abc import Sequence
from copy import deepcopy
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from tests.system.deployment import REPOSITORY

SHARED = Path(os.environ.get("TRIAGE_SHARED", REPOSITORY.parent / "shared")) / "dicom"
BRAIN = SHARED / "series-t1-axial-dense"
SPACING_MM = 1.0
AXIAL = [1, 0, 0, 0, 1, 0]
ROOT = "2.25"


def source_slices(folder: Path = BRAIN) -> list[Dataset]:
    """The images of a folder in the order of their names; where there is none, the MR image that comes with pydicom."""
    packaged = Path(str(get_testdata_file("MR_small.dcm", download=False)))
    return [dcmread(path) for path in sorted(folder.glob("*.dcm")) or [packaged]]


def slice_bytes(
    sources: Sequence[Dataset],
    study: int,
    number: int,
    *,
    series: int = 1,
    rolled: int = 0,
    **changes: object,
) -> bytes:
    """An axial slice of a study as a DICOM file; all that is the same in two calls gives the same bytes.

    Args:
        sources: whose pixels are taken, one after the other; what the file says of its place is made up.
        study: tells studies apart, as `series` does the series of one.
        number: InstanceNumber; the slice lies at so many millimetres and gets a SOPInstanceUID of its own.
        series: SeriesNumber.
        rolled: by so many rows the picture is moved down, those at the bottom to the top.
        changes: DICOM keywords and the values they get.
    """
    image = deepcopy(sources[number % len(sources)])  # a shallow copy shares its elements
    image.pop("DataSetTrailingPadding", None)
    image.StudyInstanceUID = f"{ROOT}.{study}"
    image.SeriesInstanceUID = f"{ROOT}.{study}.{series}"
    image.SOPInstanceUID = f"{ROOT}.{study}.{series}.{number}"
    image.SeriesNumber, image.InstanceNumber = series, number
    image.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    image.ImageOrientationPatient, image.ImagePositionPatient = AXIAL, [0, 0, SPACING_MM * number]
    image.SliceThickness = image.SpacingBetweenSlices = SPACING_MM
    image.SliceLocation = SPACING_MM * number
    cut = len(image.PixelData) - rolled * image.Columns * image.BitsAllocated // 8
    image.PixelData = image.PixelData[cut:] + image.PixelData[:cut]
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    target = BytesIO()
    image.save_as(target, enforce_file_format=True)
    return target.getvalue()
