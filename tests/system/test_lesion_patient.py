"""Real series with the bundled model: healthy ones raise no alarm, the patient's lesion is found with its size."""

from functools import partial

import pytest

from tests.system.slices import SHARED
from trainer.runtime.predictor import EngineName, Predictor, load_predictor
from worker.analysis import conclude, predict_slices
from worker.domain import Analysis, Priority
from worker.intake import DEFAULT_LIMITS, read_instance, sha256_of
from worker.settings import Settings
from worker.studies import series_ranges
from worker.tracks import LesionTrack, lesion_tracks
from worker.volumes import volumes_of

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no DICOM files at {SHARED}; set TRIAGE_SHARED")

HEALTHY = ("series-t1-axial-dense", "series-t1-axial", "series-t1-sagittal-siemens")
LESION = ("series-flair-philips-lesion", "series-t1-philips-lesion", "series-t2-philips-lesion")

DIAMETER_MM = 48.0
"""Of the lesion with its oedema, by hand: slice 15 of the FLAIR series from below, rows 118 to 178 of 0.799 mm."""
FIRST_SLICE, LAST_SLICE = 11, 17
"""On which it is bright, by eye, from below; 6 mm apart."""
MEASURED_WITHIN = 0.25


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor(Settings().model_folder, EngineName.OPENVINO)


def read(predictor: Predictor, *folders: str) -> Analysis:
    """As the worker reads a study: one range of values a series."""
    paths = [path for folder in folders for path in sorted((SHARED / folder).glob("*.dcm"))]
    sums = {path: sha256_of(path, DEFAULT_LIMITS.max_file_bytes) for path in paths}
    headers = {path: read_instance(path, sums[path], DEFAULT_LIMITS).header for path in paths}
    ranges = series_ranges(headers.values())
    shown = [read_instance(path, sums[path], DEFAULT_LIMITS, ranges[headers[path].series_uid]) for path in paths]
    slices = [(each.header, partial(each.frame_pixels, 1)) for each in shown]
    return conclude(list(predict_slices(predictor, slices, 8)), predictor.bundle.calibration)


def tracks_of(analysis: Analysis) -> list[LesionTrack]:
    boxes = {each.header.slice_key: each.prediction.boxes for each in analysis.slices}
    return lesion_tracks(volumes_of(each.header for each in analysis.slices), boxes)


@needs_shared
@pytest.mark.parametrize("folder", HEALTHY)
def test_healthy_series_are_never_urgent(predictor: Predictor, folder: str) -> None:
    assert read(predictor, folder).priority is not Priority.URGENT


@needs_shared
@pytest.mark.parametrize("folders", [*((folder,) for folder in LESION), LESION], ids="+".join)
def test_the_patient_is_never_routine(predictor: Predictor, folders: tuple[str, ...]) -> None:
    assert read(predictor, *folders).priority is not Priority.ROUTINE


@needs_shared
def test_the_lesion_is_followed_and_measured(predictor: Predictor) -> None:
    best = tracks_of(read(predictor, LESION[0]))[0]
    seen = {finding.number for finding in best.findings}
    shown = set(range(FIRST_SLICE, LAST_SLICE + 1))
    assert len(seen & shown) / len(seen | shown) >= 1 - MEASURED_WITHIN
    assert best.diameter_mm == pytest.approx(DIAMETER_MM, rel=MEASURED_WITHIN)
    assert best.extent_mm == pytest.approx(6.0 * len(shown), rel=MEASURED_WITHIN)
