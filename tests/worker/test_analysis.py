"""From slices to the answer for a study, with a predictor that answers what it is told."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.worker.filing import header
from trainer.runtime.decision import Calibration
from trainer.runtime.records import Box, GreyImage, SlicePrediction, TumorClass
from worker.analysis import conclude, predict_slices
from worker.domain import PixelGeometry, Priority, ReviewReason, SliceFinding

CALIBRATION = Calibration(urgent_threshold=0.5, low_margin=0.2, disagreement=0.7)
HEALTHY = (0.01, 0.01, 0.97, 0.01)
GLIOMA = (0.9, 0.04, 0.05, 0.01)
UNDECIDED = (0.45, 0.04, 0.5, 0.01)
BOX = Box(TumorClass.GLIOMA, 0.8, (1.0, 2.0, 3.0, 4.0))


def finding(
    probabilities: tuple[float, ...], *boxes: Box, classifier: tuple[float, ...] | None = None, number: int = 1
) -> SliceFinding:
    return SliceFinding(header(number), SlicePrediction(probabilities, classifier or probabilities, boxes))


class Recorder:
    """Answers every image with a glioma as likely as it is bright; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def predict(self, images: Sequence[GreyImage], batch_size: int) -> list[SlicePrediction]:
        self.asked.append((len(images), batch_size))
        return [
            SlicePrediction((level, 0.0, 1 - level, 0.0), HEALTHY, ())
            for level in (float(image[0, 0]) / 100 for image in images)
        ]


class TestPredicting:
    def test_batches_keep_order_and_headers(self) -> None:
        predictor = Recorder()
        slices = [(header(n), lambda n=n: np.full((2, 2), n, np.uint8)) for n in range(7)]
        found = list(predict_slices(predictor, slices, 3))
        assert predictor.asked == [(3, 3), (3, 3), (1, 3)]
        assert [f.header for f in found] == [header(n) for n in range(7)]
        assert [f.prediction.probabilities[0] for f in found] == [n / 100 for n in range(7)]

    def test_the_network_sees_square_pixels_and_boxes_are_those_of_the_instance(self) -> None:
        shapes = []

        class Boxer(Recorder):
            def predict(self, images: Sequence[GreyImage], batch_size: int) -> list[SlicePrediction]:
                shapes.extend(image.shape for image in images)
                box = Box(TumorClass.GLIOMA, 0.8, (10.0, 20.0, 30.0, 60.0))
                return [replace(each, boxes=(box,)) for each in super().predict(images, batch_size)]

        wide = header(1, geometry=PixelGeometry(40, 50, (0.5, 0.25)))
        plain = header(2, geometry=PixelGeometry(40, 50))
        found = list(
            predict_slices(Boxer(), [(each, lambda: np.ones((40, 50), np.uint8)) for each in (wide, plain)], 2)
        )
        assert shapes == [(80, 50), (40, 50)]
        assert [f.prediction.boxes[0].xyxy for f in found] == [(10.0, 10.0, 30.0, 30.0), (10.0, 20.0, 30.0, 60.0)]

    def test_pixels_are_opened_only_when_their_batch_comes(self) -> None:
        opened: list[int] = []

        def open_pixels(number: int) -> GreyImage:
            opened.append(number)
            return np.zeros((2, 2), np.uint8)

        slices = ((header(n), lambda n=n: open_pixels(n)) for n in range(6))
        found = predict_slices(Recorder(), slices, 2)
        assert opened == []
        next(found)
        assert opened == [0, 1]

    def test_no_slices_no_predictions(self) -> None:
        assert list(predict_slices(Recorder(), [], 4)) == []


class TestConcluding:
    @pytest.mark.parametrize(
        ("slices", "priority"),
        [([finding(HEALTHY)], Priority.REVIEW), ([finding(GLIOMA, BOX)], Priority.URGENT)],
        ids=["healthy", "tumour"],
    )
    def test_different_patients_are_at_least_for_review(self, slices: list[SliceFinding], priority: Priority) -> None:
        assert conclude(slices, CALIBRATION, patient_id_conflict=True).priority is priority

    def test_nothing_to_conclude_from(self) -> None:
        with pytest.raises(ValueError, match="without slices"):
            conclude([], CALIBRATION)

    @pytest.mark.parametrize(
        ("slices", "label", "priority", "reasons"),
        [
            ([finding(GLIOMA, BOX)], TumorClass.GLIOMA, Priority.URGENT, ()),
            ([finding(HEALTHY)], TumorClass.NO_TUMOR, Priority.ROUTINE, ()),
            ([finding(UNDECIDED)], TumorClass.NO_TUMOR, Priority.URGENT, (ReviewReason.LOW_MARGIN,)),
            (
                [finding(HEALTHY, classifier=(0.8, 0.0, 0.2, 0.0))],
                TumorClass.NO_TUMOR,
                Priority.REVIEW,
                (ReviewReason.CLASSIFIER_DISAGREES,),
            ),
        ],
        ids=["tumour", "healthy", "at the operating point", "second opinion"],
    )
    def test_answer(
        self, slices: list[SliceFinding], label: TumorClass, priority: Priority, reasons: tuple[ReviewReason, ...]
    ) -> None:
        analysis = conclude(slices, CALIBRATION)
        assert (analysis.label, analysis.priority, analysis.review_reasons) == (label, priority, reasons)
        assert analysis.slices == tuple(slices)
        assert analysis.tumor_probability == pytest.approx(1 - slices[0].prediction.probabilities[2])
