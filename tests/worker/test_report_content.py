"""What a report says, from rows of a real database."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sqlalchemy.orm import Session, sessionmaker

from reports.content import EdgeLetters, ModelFacts, ReportContent
from tests.worker.conftest import NOON, ClockedServices
from tests.worker.filing import AXIAL, add_file, header, receive, seconds
from trainer.runtime.bundle import PublishedMetrics
from trainer.runtime.decision import Calibration, lesion_probability
from trainer.runtime.records import Box, SlicePrediction, TumorClass
from worker.analysis import conclude
from worker.domain import InstanceHeader, PixelGeometry, SliceFinding
from worker.report_content import KEY_IMAGES, report_content
from worker.selection import choose, chosen_headers
from worker.steps.headers import headers_of
from worker.store import queries
from worker.store.models import FileState, Study

HEALTHY = (0.01, 0.01, 0.97, 0.01)
GLIOMA = (0.9, 0.04, 0.05, 0.01)


def boxes(*scores: float) -> tuple[Box, ...]:
    return tuple(Box(TumorClass.GLIOMA, score, (10.0, 20.0, 30.0, 60.0)) for score in scores)


class Study1:
    """A study that is put together, analysed and written up."""

    def __init__(self, services: ClockedServices) -> None:
        self.services = services
        self.sessions: sessionmaker[Session] = services.session
        self.most = 8

    def receive(self, *headers: InstanceHeader) -> None:
        with self.sessions.begin() as session:
            for head in headers:
                self.study_id = receive(session, head).id

    def change(self, **values: object) -> None:
        with self.sessions.begin() as session:
            study = session.get_one(Study, self.study_id)
            for name, value in values.items():
                setattr(study, name, value)

    def analyse(self, predictions: Sequence[tuple[tuple[float, ...], tuple[Box, ...]]]) -> None:
        """One prediction a slice, in reading order."""
        with self.sessions.begin() as session:
            study = queries.whole_studies(session, [self.study_id])[0]
            findings = [
                SliceFinding(head, SlicePrediction(probabilities, probabilities, found))
                for head, (probabilities, found) in zip(self.read(study), predictions, strict=True)
            ]
            ids = {instance.sha256: instance.id for instance in study.instances}
            queries.add_result(session, study, conclude(findings, Calibration()), ids, "test-1", "openvino", NOON)

    def read(self, study: Study) -> list[InstanceHeader]:
        return chosen_headers(choose(headers_of(study), self.most))

    def content(self) -> ReportContent:
        with self.sessions.begin() as session:
            study = queries.whole_studies(session, [self.study_id])[0]
            rejected = queries.rejected_files(session, study.study_uid)
        bundle = self.services.bundle
        pixels = lambda head: np.full((head.geometry.rows, head.geometry.columns), 7, np.uint8)  # noqa: E731
        return report_content(study, choose(headers_of(study), self.most), bundle, pixels, NOON + seconds(9), rejected)


@pytest.fixture
def study(services: ClockedServices) -> Study1:
    return Study1(services)


def at_depth(number: int, depth: float, **changes: object) -> InstanceHeader:
    return header(number, geometry=PixelGeometry(80, 90, (0.5, 0.25), (0.0, 0.0, depth), AXIAL), **changes)


@pytest.fixture
def series(study: Study1) -> Study1:
    """Six slices 5 mm apart; the lesion is on the fourth and fifth."""
    study.receive(*(at_depth(number, 5.0 * number) for number in range(1, 7)))
    lesion = {4: (GLIOMA, boxes(0.6, 0.9)), 5: ((0.8, 0.05, 0.1, 0.05), boxes(0.7))}
    study.analyse([lesion.get(number, (HEALTHY, ())) for number in range(1, 7)])
    return study


class TestFacts:
    def test_who_and_what(self, series: Study1) -> None:
        series.change(patient_id="P 1", patient_birth_date="19700131", patient_sex="F", patient_age="056Y",
                      study_date="20260301", study_description="Head")  # fmt: skip
        content = series.content()
        patient = content.patient
        assert (patient.name, patient.patient_id, patient.birth_date, patient.sex, patient.age) == (
            "Test^Anna", "P 1", "19700131", "F", "056Y",
        )  # fmt: skip
        assert (content.study_date, content.study_description) == ("20260301", "Head")
        assert (content.received_at, content.reported_at, content.revision) == (NOON, NOON + seconds(9), 1)

    def test_the_answer(self, series: Study1) -> None:
        content = series.content()
        assert (content.label, content.priority, content.review_reasons) == ("Glioma", "urgent", ())
        assert [name for name, _ in content.probabilities] == ["Glioma", "Meningioma", "No Tumor", "Pituitary"]
        assert sum(value for _, value in content.probabilities) == pytest.approx(1)

    def test_the_answer_is_that_of_the_current_revision(self, series: Study1) -> None:
        series.change(revision=2)
        series.analyse([(HEALTHY, ())] * 6)
        content = series.content()
        assert (content.revision, content.label, content.priority) == (2, "No Tumor", "routine")
        assert content.findings == ()

    def test_the_model_without_and_with_measurements(self, series: Study1) -> None:
        model = series.content().model
        assert (model.version, model.engine, model.weights_sha256, model.accuracy) == (
            "test-1", "openvino", "0" * 64, None,
        )  # fmt: skip
        metrics = PublishedMetrics(0.97, (0.95, 0.98), 0.85, 512)
        series.services.__dict__["bundle"] = replace(series.services.bundle, metrics=metrics)
        model = series.content().model
        assert (model.accuracy, model.accuracy_ci95, model.map50_tumour, model.test_images) == (
            0.97, (0.95, 0.98), 0.85, 512,
        )  # fmt: skip

    def test_a_model_put_in_place_after_the_reading_says_nothing_of_it(self, series: Study1) -> None:
        metrics = PublishedMetrics(0.97, (0.95, 0.98), 0.85, 512)
        series.services.__dict__["bundle"] = replace(series.services.bundle, version="test-2", metrics=metrics)
        assert series.content().model == ModelFacts("test-1", "openvino", weights_sha256=None)

    def test_every_file_and_what_became_of_it(self, series: Study1) -> None:
        with series.sessions.begin() as session:
            study = queries.whole_studies(session, [series.study_id])[0]
            for file, state in zip(study.files, FileState, strict=True):
                file.state, file.message = state, f"was {state}"
        files = series.content().files
        assert [(file.outcome, file.message) for file in files] == [
            ("waiting", "was claimed"), ("read", "was read"), ("left out", "was left_out"),
            ("duplicate", "was duplicate"), ("rejected", "was rejecting"), ("rejected", "was rejected"),
        ]  # fmt: skip
        assert files[1].name == "1.2.4.2.dcm"
        assert files[1].sha256 == header(2).sha256


class TestPictures:
    def test_two_slices_of_one_sop_uid_are_two_slices(self, study: Study1) -> None:
        study.receive(header(1, sop_uid="1.7"), header(2, sop_uid="1.7"))
        study.analyse([(GLIOMA, ()), (GLIOMA, ())])
        content = study.content()
        assert [image.caption for image in content.key_images] == ["T1 axial, slice 1 of 2", "T1 axial, slice 2 of 2"]
        assert queries.SAME_SOP_UID in content.notes

    def test_the_clearest_lesion_comes_first_and_the_rest_in_reading_order(self, series: Study1) -> None:
        captions = [image.caption for image in series.content().key_images]
        assert len(captions) == KEY_IMAGES
        assert captions[0] == "T1 axial, slice 4 of 6"
        assert captions[1:] == sorted(captions[1:])
        assert captions[-1] == "T1 axial, slice 5 of 6"

    def test_a_lesion_has_one_row_and_its_number_on_every_picture(self, series: Study1) -> None:
        content = series.content()
        drawn = [(box.number, box.score) for image in content.key_images for box in image.boxes]
        assert drawn == [(1, 0.9), (2, 0.6), (1, 0.7)]
        assert [(row.number, row.score, row.location, row.extent_mm) for row in content.findings] == [
            (1, 0.9, "T1 axial, slices 4–5 of 6", 10.0),
            (2, 0.6, "T1 axial, slice 4 of 6", 5.0),
        ]

    def test_a_lesion_has_the_probability_of_the_model_that_found_it(self, series: Study1) -> None:
        calibration = series.services.bundle.calibration
        both, one = (row.probability for row in series.content().findings)
        assert both == pytest.approx((lesion_probability(0.9, calibration) + lesion_probability(0.7, calibration)) / 2)
        assert one == pytest.approx(lesion_probability(0.6, calibration) / 2)
        series.services.__dict__["bundle"] = replace(series.services.bundle, version="test-2")
        assert [row.probability for row in series.content().findings] == [None, None]

    def test_every_lesion_has_a_picture_where_there_is_room(self, study: Study1) -> None:
        study.receive(*(at_depth(number, 5.0 * number) for number in range(1, 9)))
        faint = ((0.2, 0.05, 0.7, 0.05), boxes(0.3))  # its lesion is clearer than the slice is suspicious
        study.analyse([faint, (HEALTHY, ()), (HEALTHY, ()), *[(GLIOMA, ())] * 5])
        captions = [image.caption for image in study.content().key_images]
        assert (len(captions), captions[0]) == (KEY_IMAGES, "T1 axial, slice 1 of 8")

    def test_sizes_in_pixels_and_in_millimetres_of_the_right_axis(self, series: Study1) -> None:
        row = series.content().findings[0]
        assert row.size_px == (20.0, 40.0)
        assert row.diameter_mm == 20.0  # 40 rows of 0.5 mm; 20 columns of 0.25 mm are 5 mm

    def test_no_millimetres_without_a_pixel_spacing(self, study: Study1) -> None:
        study.receive(replace(header(1, None), geometry=replace(header(1).geometry, spacing_mm=None)))
        study.analyse([(GLIOMA, boxes(0.9))])
        assert study.content().findings[0].diameter_mm is None

    def test_edges_have_letters_where_the_file_says_how_it_lies(self, series: Study1) -> None:
        assert {image.edges for image in series.content().key_images} == {EdgeLetters("R", "A", "L", "P")}

    def test_a_picture_has_square_pixels_and_its_boxes_lie_on_it(self, series: Study1) -> None:
        image = series.content().key_images[-1]  # rows are twice as far apart as columns
        assert (image.width, image.height) == (90, 160)
        with Image.open(BytesIO(image.jpeg)) as opened:
            assert opened.size == (90, 160)
        stored = boxes(0.7)[0].xyxy
        assert image.boxes[0].xyxy == (stored[0], 2 * stored[1], stored[2], 2 * stored[3])

    def test_a_picture_is_the_scan_as_jpeg(self, study: Study1) -> None:
        study.receive(header(1, None, geometry=PixelGeometry(80, 90)))
        study.analyse([(HEALTHY, ())])
        (image,) = study.content().key_images
        assert (image.caption, image.width, image.height, image.edges) == ("Image", 90, 80, None)
        with Image.open(BytesIO(image.jpeg)) as opened:
            assert (opened.format, opened.size, opened.mode) == ("JPEG", (90, 80), "L")

    @pytest.mark.parametrize(
        ("changes", "caption"),
        [
            ({"series_description": None}, "Series 4, slice 1 of 1"),
            ({"series_description": None, "series_number": None}, "Series, slice 1 of 1"),
        ],
    )
    def test_a_series_without_a_description(self, study: Study1, changes: dict[str, object], caption: str) -> None:
        study.receive(replace(header(1), **changes))
        study.analyse([(HEALTHY, ())])
        assert study.content().key_images[0].caption == caption


class TestNotes:
    def test_none_for_a_whole_study(self, series: Study1) -> None:
        assert series.content().notes == ()

    def test_missing_slices_are_named_up_to_ten(self, study: Study1) -> None:
        study.receive(header(1), header(14))
        study.analyse([(HEALTHY, ())] * 2)
        assert study.content().notes == (
            "Incomplete: T1 axial: instance numbers 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 … "  # noqa: ISC004  one sentence
            "are not among the images that could be read.",
        )

    def test_a_study_that_was_cut_off(self, series: Study1) -> None:
        series.change(incomplete=True)
        assert series.content().notes == ("Incomplete: the study was still arriving when it had to be read.",)

    def test_warnings_of_instances_once_each(self, series: Study1) -> None:
        with series.sessions.begin() as session:
            for instance in queries.whole_studies(session, [series.study_id])[0].instances[:3]:
                instance.warning = "Only the first frame was read."
        assert series.content().notes == ("Only the first frame was read.",)


class TestSeries:
    def test_every_series_and_what_became_of_it(self, study: Study1) -> None:
        flair = replace(header().acquisition, echo_time_ms=120.0, repetition_time_ms=9000.0, inversion_time_ms=2500.0)
        study.receive(
            *(at_depth(number, depth) for number, depth in enumerate((0.0, 5.0, 10.0, 20.0, 20.0))),
            *(
                at_depth(100 + number, 5.0 * number, series_uid="1.2.8", series_description="FLAIR", acquisition=flair)
                for number in range(2)
            ),
        )
        study.most = 1
        study.analyse([(HEALTHY, ())] * 5)
        with study.sessions.begin() as session:
            for number in (1, 2):
                file = add_file(session, f"scout{number}.dcm")
                file.state, file.reason, file.message = FileState.REJECTED, "localizer", "This is a localizer."
                file.study_uid, file.series_name = "1.2.3", "Scout"
        content = study.content()
        assert [
            (row.outcome, row.name, row.weighting, row.plane, row.slices, row.spacing_mm) for row in content.series
        ] == [
            ("read", "T1 axial", "T1", "axial", 5, 5.0),
            ("left out", "FLAIR", "FLAIR", "axial", 2, 5.0),
            ("rejected", "Scout", None, None, 2, None),
        ]
        assert [row.remark for row in content.series] == [
            "Slices are missing between others in one place. Slices that lie where another does: 1.",
            "Other series that show more are read, 1 at most (TRIAGE_MAX_SERIES).",
            "This is a localizer.",
        ]
        assert [file.outcome for file in content.files][-2:] == ["rejected", "rejected"]

    def test_a_picture_has_no_series(self, study: Study1) -> None:
        study.receive(header(study_uid=None))
        study.analyse([(HEALTHY, ())])
        assert study.content().series == ()
