"""Scans and a predictor for the tests of the command line: small, synthetic, made where they are used."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from trainer.runtime.decision import NEVER_NOVEL, Calibration
from trainer.runtime.records import Box, GreyImage, SlicePrediction, TumorClass

CALIBRATION = Calibration(unfamiliar_from=NEVER_NOVEL / 2)
"""Neutral, but that it judges boxes alone too."""
SIDE = 80
BRIGHT = 90
"""Mean grey from which the fake predictor sees a glioma."""
BOX = (10.0, 20.0, 30.0, 44.0)


def grey(seed: int, level: int) -> GreyImage:
    """Noise around a level, another picture for every seed."""
    generator = np.random.default_rng(seed)
    return np.clip(generator.normal(level, 12, (SIDE, SIDE)), 0, 255).astype(np.uint8)


def png(seed: int, level: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grey(seed, level)).save(buffer, "PNG")
    return buffer.getvalue()


def dicom(study: int, number: int, level: int = 40, modality: str = "MR", patient_id: str | None = None) -> bytes:
    """One slice of study `1.2.<study>`, at `number` millimetres."""
    return dicom_bytes(slice_dataset(study, number, level, modality, patient_id))


def windowed(study: int, number: int, level: int, width: float) -> bytes:
    """As `dicom`, shown by a window of 0 to `width`."""
    dataset = slice_dataset(study, number, level)
    dataset.WindowCenter, dataset.WindowWidth = width / 2, width
    return dicom_bytes(dataset)


def enhanced(study: int, positions: Sequence[float], levels: Sequence[int]) -> bytes:
    """An enhanced MR object of study `1.2.<study>`: a frame of each level, at so many millimetres."""
    dataset = slice_dataset(study, 1)
    dataset.SOPClassUID = EnhancedMRImageStorage
    dataset.NumberOfFrames = len(positions)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = dataset.ImageOrientationPatient
    measures.PixelSpacing = [1, 1]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [at_position(millimetres) for millimetres in positions]
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    frames = [grey(100 * study + number, level) for number, level in enumerate(levels)]
    dataset.PixelData = np.stack(frames).astype(np.uint16).tobytes()
    return dicom_bytes(dataset)


def at_position(millimetres: float) -> Dataset:
    """The functional groups of a frame."""
    groups, position = Dataset(), Dataset()
    position.ImagePositionPatient = [0, 0, millimetres]
    groups.PlanePositionSequence = [position]
    return groups


def slice_dataset(
    study: int, number: int, level: int = 40, modality: str = "MR", patient_id: str | None = None
) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = f"1.2.{study}.3.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.{study}", f"1.2.{study}.3"
    dataset.Modality = modality
    if patient_id is not None:
        dataset.PatientID = patient_id
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [1, 1]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    dataset.PixelData = grey(100 * study + number, level).astype(np.uint16).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def dicom_bytes(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Put files below a folder; returns it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@dataclass
class FakePredictor:
    """Bright pictures are gliomas with one box, dark ones are healthy. Remembers the batches it got."""

    batches: list[int] = field(default_factory=list)
    engine_name: str = "fake"
    bundle: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(version="test-1", calibration=CALIBRATION, metrics=None)
    )

    def predict(self, images: Sequence[GreyImage], *_: object, **__: object) -> list[SlicePrediction]:
        self.batches.append(len(images))
        return [tumor_prediction() if image.mean() > BRIGHT else healthy_prediction() for image in images]


def tumor_prediction() -> SlicePrediction:
    probabilities = (0.9, 0.04, 0.05, 0.01)
    return SlicePrediction(probabilities, probabilities, (Box(TumorClass.GLIOMA, 0.8, BOX),))


def healthy_prediction() -> SlicePrediction:
    probabilities = (0.01, 0.01, 0.97, 0.01)
    return SlicePrediction(probabilities, probabilities, ())
