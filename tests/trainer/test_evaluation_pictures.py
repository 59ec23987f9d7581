"""The pictures of an evaluation: what they show, in which order, and that they can be opened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.evaluation_pictures import PICTURES, RELIABILITY, WORST_ERRORS, draw_pictures, is_right, worst_first
from trainer.labels import DatasetError
from trainer.measure import Answered
from trainer.runtime.decision import Calibration
from trainer.runtime.records import Box, SlicePrediction, TumorClass

from .readings_made_by_hand import line, read

GLIOMA, HEALTHY = TumorClass.GLIOMA, TumorClass.NO_TUMOR
BOXES = (Box(GLIOMA, 0.6, (10.0, 10.0, 40.0, 40.0)),)


def said(truth: TumorClass, glioma: float, path: Path = Path("x")) -> Answered:
    """An image with a tumour's and a gland's line, answered with this P(Glioma), else No Tumor."""
    given = read(truth, (line(0, 10, 10, 40, 40), line(3, 50, 50, 60, 60)) if truth is GLIOMA else ())
    probabilities = (glioma, 0.0, 1 - glioma, 0.0)
    prediction = SlicePrediction(probabilities, probabilities, BOXES if glioma > 0.5 else ())
    return Answered(replace(given, sample=replace(given.sample, image_path=path)), prediction, Calibration())


def test_the_surest_error_comes_first_and_the_surest_right_answer_last() -> None:
    given = [said(GLIOMA, 0.99), said(GLIOMA, 0.4), said(HEALTHY, 0.9), said(HEALTHY, 0.45), said(GLIOMA, 0.7)]
    ordered = worst_first(given)
    assert [each.prediction.probabilities[0] for each in ordered] == [0.9, 0.4, 0.45, 0.7, 0.99]
    assert [is_right(each) for each in ordered] == [False, False, True, True, True]


@pytest.mark.parametrize("images", [1, 40])
def test_they_can_be_opened(tmp_path: Path, images: int) -> None:
    path = tmp_path / "scan.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (100, 100), dtype=np.uint8)).save(path)
    levels = np.linspace(0.02, 0.98, images)
    folder = tmp_path / "figures" / "of a model"
    draw_pictures([said(GLIOMA if index % 2 else HEALTHY, float(p), path) for index, p in enumerate(levels)], folder)
    assert sorted(file.name for file in folder.iterdir()) == sorted(PICTURES)
    for name in PICTURES:
        with Image.open(folder / name) as picture:
            picture.load()
            assert picture.width > 800
        assert (folder / name).stat().st_size < 1_000_000
    with Image.open(folder / RELIABILITY) as picture:
        assert picture.format == "PNG"
    with Image.open(folder / WORST_ERRORS) as picture:
        assert picture.format == "JPEG"


def test_an_image_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        draw_pictures([said(GLIOMA, 0.4, tmp_path / "gone.png")], tmp_path)
