"""Planning and reading without a worker: what belongs together, in which order, at what cost of memory."""

import csv
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system.slices import SHARED
from tests.worker.intake.test_shared_data import DEVIATIONS
from tests.worker.scans import (
    BOX,
    FakePredictor,
    archive,
    dicom,
    dicom_bytes,
    enhanced,
    png,
    slice_dataset,
    windowed,
    write,
)
from trainer.runtime.decision import lesion_probability
from trainer.runtime.records import GreyImage, SlicePrediction
from worker.domain import Priority
from worker.errors import Reason
from worker.inbox_walk import MOST_LEVELS
from worker.intake import DEFAULT_LIMITS
from worker.predict import (
    FileStatus,
    MissingInputError,
    StudyLine,
    StudyStatus,
    list_inputs,
    plan_units,
    predict_units,
)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def read(scratch: Path, *paths: Path, batch_size: int = 8, predictor: FakePredictor | None = None) -> list[StudyLine]:
    units = plan_units(list_inputs(paths).files, scratch, DEFAULT_LIMITS)
    return list(predict_units(units, predictor or FakePredictor(), DEFAULT_LIMITS, batch_size, 8))  # type: ignore[arg-type]


def names(line: StudyLine, folder: Path) -> list[str]:
    return [os.path.relpath(file.path, folder) for file in line.files]


class TestInputs:
    def test_folders_are_walked_in_order_and_ignored_names_left_out(self, tmp_path: Path) -> None:
        files = ["b/2.png", "a/1.png", "a/10.png", ".hidden/x.png", "a/.x.png", "a/x.part", "Thumbs.db", "~x.png"]
        write(tmp_path, dict.fromkeys(files, b"x"))
        found = [os.path.relpath(file.path, tmp_path) for file in list_inputs([tmp_path]).files]
        assert found == ["a/1.png", "a/10.png", "b/2.png"]

    def test_an_ignored_name_given_directly_is_left_out(self, tmp_path: Path) -> None:
        write(tmp_path, {"x.part": b"x", ".x": b"x"})
        assert list_inputs([tmp_path / "x.part", tmp_path / ".x"]).files == []

    def test_the_working_directory_and_its_parent_are_not_hidden(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, {"sub/x.png": b"x"})
        monkeypatch.chdir(tmp_path / "sub")
        assert [file.name for file in list_inputs([Path()]).files] == ["x.png"]
        assert [file.name for file in list_inputs([Path("..")]).files] == ["../sub/x.png"]

    def test_paths_keep_their_order_and_a_file_given_twice_is_taken_once(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.png": b"a", "b.png": b"b"})
        given = [tmp_path / "b.png", tmp_path, tmp_path / "a.png"]
        assert [file.path.name for file in list_inputs(given).files] == ["b.png", "a.png"]

    def test_links_and_pipes_in_folders_are_left_out(self, tmp_path: Path) -> None:
        write(tmp_path, {"x.png": b"x"})
        (tmp_path / "link.png").symlink_to(tmp_path / "x.png")
        (tmp_path / "loop").symlink_to(tmp_path)
        os.mkfifo(tmp_path / "pipe.png")
        assert [file.path.name for file in list_inputs([tmp_path]).files] == ["x.png"]

    def test_folders_that_are_too_deep_are_counted(self, tmp_path: Path) -> None:
        deepest = tmp_path.joinpath(*["a"] * MOST_LEVELS)
        (deepest / "a").mkdir(parents=True)
        write(deepest, {"read.png": b"x", "a/left.png": b"x"})
        inputs = list_inputs([tmp_path])
        assert [file.path for file in inputs.files] == [deepest / "read.png"]
        assert inputs.folders_too_deep == 1

    def test_a_path_that_leads_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(MissingInputError) as caught:
            list_inputs([tmp_path / "gone"])
        assert caught.value.name == str(tmp_path / "gone")

    def test_bytes_that_are_not_text_are_written_as_escapes(self, tmp_path: Path) -> None:
        (tmp_path / os.fsdecode(b"bad\xff.png")).write_bytes(b"x")
        assert list_inputs([tmp_path]).files[0].name == f"{tmp_path}/bad\\xff.png"


class TestStudies:
    def test_a_picture_is_a_study_of_one(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {"dark.png": png(1), "light.png": png(2, 150)})
        healthy, tumor = read(scratch, folder)
        assert (healthy.path, healthy.label, healthy.priority) == (
            str(folder / "dark.png"), "No Tumor", Priority.ROUTINE,
        )  # fmt: skip
        assert (tumor.label, tumor.priority, tumor.status) == ("Glioma", Priority.URGENT, StudyStatus.OK)
        assert tumor.probabilities is not None
        assert sum(tumor.probabilities.values()) == pytest.approx(1)
        (box,) = tumor.boxes
        assert (box.label, box.score, box.xyxy, box.file) == ("Glioma", 0.8, BOX, str(folder / "light.png"))
        (lesion,) = tumor.lesions
        assert (lesion.number, lesion.label, lesion.score, lesion.slices) == (box.lesion, "Glioma", 0.8, 1)
        assert (lesion.diameter_mm, lesion.extent_mm, healthy.lesions) == (None, None, ())

    def test_dicom_groups_by_study_wherever_the_files_lie(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(
            tmp_path / "in",
            {
                "a/1.dcm": dicom(7, 1),
                "a/picture.png": png(1),
                "b/other.dcm": dicom(8, 1),
                "c/2.dcm": dicom(7, 2, level=150),
            },
        )
        lines = read(scratch, folder, batch_size=1)
        assert [names(line, folder) for line in lines] == [["a/1.dcm", "c/2.dcm"], ["a/picture.png"], ["b/other.dcm"]]
        assert [os.path.relpath(line.path, folder) for line in lines] == [".", "a/picture.png", "b"]
        assert [box.file for box in lines[0].boxes] == [str(folder / "c/2.dcm")]

    def test_boxes_on_neighbouring_slices_are_one_lesion(self, tmp_path: Path, scratch: Path) -> None:
        seen = {f"{n}.dcm": dicom(7, n, level=150 if 2 <= n <= 6 else 60) for n in range(10)}
        (line,) = read(scratch, write(tmp_path / "in", seen))
        (lesion,) = line.lesions
        assert lesion.slices == len(line.boxes) == 5
        assert {box.lesion for box in line.boxes} == {lesion.number} == {1}
        assert lesion.probability == pytest.approx(lesion_probability(0.8, FakePredictor().bundle.calibration))

    def test_a_box_on_a_single_thin_slice_is_of_no_lesion(self, tmp_path: Path, scratch: Path) -> None:
        seen = {f"{n}.dcm": dicom(7, n, level=150 if n == 4 else 60) for n in range(10)}
        (line,) = read(scratch, write(tmp_path / "in", seen))
        assert ([box.lesion for box in line.boxes], line.lesions) == ([None], ())

    def test_a_series_beyond_the_most_is_left_out(self, tmp_path: Path, scratch: Path) -> None:
        second = slice_dataset(7, 2, level=150)
        second.SeriesInstanceUID, second.SeriesNumber = "1.2.7.4", 2
        folder = write(tmp_path / "in", {"1.dcm": dicom(7, 1), "2.dcm": dicom_bytes(second)})
        units = plan_units(list_inputs([folder]).files, scratch, DEFAULT_LIMITS)
        (line,) = predict_units(units, FakePredictor(), DEFAULT_LIMITS, 8, 1)  # type: ignore[arg-type]
        assert [(file.status, file.reason) for file in line.files] == [
            ("read", None),
            ("left_out", "series_not_selected"),
        ]
        assert (line.label, line.boxes) == ("No Tumor", ())

    def test_copies_of_a_series_take_nothing_away(self, tmp_path: Path, scratch: Path) -> None:
        slices = {f"{n}.dcm": dicom(7, 5 * n, level=150) for n in range(5)}
        copies = {f"b/{name}": content for name, content in slices.items()}
        folder = write(tmp_path / "in", {f"a/{name}": content for name, content in slices.items()} | copies)
        (line,) = read(scratch, folder)
        assert {file.status for file in line.files} == {FileStatus.READ}
        assert (line.label, len(line.boxes)) == ("Glioma", 10)

    def test_the_patient_of_a_series_that_is_left_out_counts(self, tmp_path: Path, scratch: Path) -> None:
        other = slice_dataset(7, 2, patient_id="B")
        other.SeriesInstanceUID, other.SeriesNumber = "1.2.7.4", 2
        folder = write(tmp_path / "in", {"1.dcm": dicom(7, 1, patient_id="A"), "2.dcm": dicom_bytes(other)})
        units = plan_units(list_inputs([folder]).files, scratch, DEFAULT_LIMITS)
        (line,) = predict_units(units, FakePredictor(), DEFAULT_LIMITS, 8, 1)  # type: ignore[arg-type]
        assert line.review_reasons == ("patient_id_conflict",)

    def test_a_series_is_shown_by_the_window_of_what_is_read(self, tmp_path: Path, scratch: Path) -> None:
        files = {}
        for time, width in ((1, 256), (2, 700), (3, 700)):
            for place in range(4):
                dataset = slice_dataset(7, 5 * place, level=100)
                dataset.SOPInstanceUID = f"1.2.7.{time}.{place}"
                dataset.TemporalPositionIdentifier = time
                dataset.WindowCenter, dataset.WindowWidth = width / 2, width
                files[f"{time}{place}.dcm"] = dicom_bytes(dataset)
        folder = write(tmp_path / "in", files)
        (line,) = read(scratch, folder)
        assert [file.status for file in line.files] == ["read"] * 4 + ["left_out"] * 8
        assert line.label == "Glioma"  # the other window shows it too dark for the fake predictor

    def test_boxes_come_in_reading_order_of_the_slices(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {f"{9 - z}.dcm": dicom(7, z, level=150) for z in (1, 2, 3)})
        (line,) = read(scratch, folder)
        assert [Path(box.file).name for box in line.boxes] == ["8.dcm", "7.dcm", "6.dcm"]
        assert names(line, folder) == ["6.dcm", "7.dcm", "8.dcm"]

    def test_a_series_is_shown_by_one_window(self, tmp_path: Path, scratch: Path) -> None:
        seen: list[float] = []

        class Looker(FakePredictor):
            def predict(self, images: Sequence[GreyImage], *_: object, **__: object) -> list[SlicePrediction]:
                seen.extend(float(image.mean()) for image in images)
                return super().predict(images)

        slices = {f"{number}.dcm": windowed(1, number, 100, width) for number, width in enumerate((256, 256, 1024))}
        read(scratch, write(tmp_path, slices), predictor=Looker())
        assert seen == pytest.approx([100] * 3, abs=1)  # by its own window the last is a quarter as bright

    def test_boxes_name_the_frame_of_a_multi_frame_file(self, tmp_path: Path, scratch: Path) -> None:
        content = enhanced(1, positions=[30, 10, 20], levels=[150, 40, 150])
        (line,) = read(scratch, write(tmp_path, {"e.dcm": content}), batch_size=2)
        assert [(Path(box.file).name, box.frame) for box in line.boxes] == [("e.dcm", 3), ("e.dcm", 1)]
        assert [file.status for file in line.files] == [FileStatus.READ]

    def test_duplicates_are_all_read(self, tmp_path: Path, scratch: Path) -> None:
        same_slice = dicom(7, 1)
        folder = write(
            tmp_path / "in", {"a.png": png(1), "b.png": png(1), "x.dcm": same_slice, "y.dcm": same_slice}
        )  # fmt: skip
        lines = read(scratch, folder)
        assert [names(line, folder) for line in lines] == [["a.png"], ["b.png"], ["x.dcm", "y.dcm"]]
        assert {file.status for line in lines for file in line.files} == {FileStatus.READ}

    def test_a_rejected_slice_is_listed_with_its_study(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {"1.dcm": dicom(7, 1), "2.dcm": dicom(7, 2)[:-3000]})
        (line,) = read(scratch, folder)
        assert (line.status, line.reason) == (StudyStatus.OK, None)
        good, bad = line.files
        assert (good.status, good.reason, good.message) == (FileStatus.READ, None, None)
        assert (bad.status, bad.reason) == (FileStatus.REJECTED, Reason.TRUNCATED)
        assert bad.message is not None

    def test_rejected_slices_of_no_readable_study_have_lines_of_their_own(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {"1.dcm": dicom(7, 1, modality="CT"), "2.dcm": dicom(7, 2, modality="CT")})
        first, second = read(scratch, folder)
        assert (first.path, first.status, first.reason) == (
            str(folder / "1.dcm"), StudyStatus.REJECTED, Reason.NOT_MR,
        )  # fmt: skip
        assert names(second, folder) == ["2.dcm"]
        assert (second.label, second.probabilities, second.priority, second.boxes) == (None, None, None, ())

    def test_relative_files_of_two_folders_share_the_working_directory(
        self, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, {"a/1.dcm": dicom(7, 1), "b/2.dcm": dicom(7, 2)})
        monkeypatch.chdir(tmp_path)
        (line,) = read(scratch, Path("a"), Path("b"))
        assert line.path == "."
        (line,) = read(scratch, Path("a"), tmp_path / "b")
        assert line.path == str(tmp_path)


class TestArchives:
    def test_members_are_named_below_the_archive(self, tmp_path: Path, scratch: Path) -> None:
        packed = {"s/1.dcm": dicom(7, 1), "s/2.dcm": dicom(7, 2), "p.png": png(1), "x.part": b"x", ".DS_Store": b"x"}
        folder = write(tmp_path / "in", {"study.zip": archive(packed), "z.dcm": dicom(7, 3)})
        picture, study = read(scratch, folder)
        assert names(picture, folder) == ["study.zip/p.png"]
        assert names(study, folder) == ["study.zip/s/1.dcm", "study.zip/s/2.dcm", "z.dcm"]
        assert study.path == str(folder)

    def test_a_refused_archive_and_one_inside_another(self, tmp_path: Path, scratch: Path) -> None:
        inner = archive({"p.png": png(1)})
        bad, only_ignored = archive({"../x.png": png(1)}), archive({"x.part": b"x"})
        folder = write(
            tmp_path / "in", {"bad.zip": bad, "ignored.zip": only_ignored, "outer.zip": archive({"in.zip": inner})}
        )
        lines = read(scratch, folder)
        assert [(names(line, folder), line.reason) for line in lines] == [
            (["bad.zip"], Reason.BAD_ARCHIVE),
            (["ignored.zip"], Reason.BAD_ARCHIVE),
            (["outer.zip/in.zip"], Reason.UNSUPPORTED_TYPE),
        ]


class TestHostileInput:
    def test_every_file_is_named_once_whatever_it_holds(self, tmp_path: Path, scratch: Path) -> None:
        files = {
            "text.jpg": b"not a picture " * 50,
            "empty.png": b"",
            "cut.png": png(1)[:1000],
            "small.png": png(1).replace(b"\0\0\0\x50\0\0\0\x50", b"\0\0\0\x10\0\0\0\x10"),
            "new\nline \x1b[31m🧠.png": png(2),
            "good.png": png(3),
        }
        folder = write(tmp_path / "in", files)
        lines = read(scratch, folder, batch_size=2)
        assert sorted(name for line in lines for name in names(line, folder)) == sorted(files)
        accepted = {name for line in lines if line.status is StudyStatus.OK for name in names(line, folder)}
        assert accepted == {"new\nline \x1b[31m🧠.png", "good.png"}

    def test_a_link_given_directly_is_refused_and_not_followed(self, tmp_path: Path, scratch: Path) -> None:
        write(tmp_path, {"x.png": png(1)})
        (tmp_path / "link.png").symlink_to(tmp_path / "x.png")
        os.mkfifo(tmp_path / "pipe.png")
        lines = read(scratch, tmp_path / "link.png", tmp_path / "pipe.png")
        assert [line.reason for line in lines] == [Reason.UNSUPPORTED_TYPE, Reason.UNSUPPORTED_TYPE]

    def test_a_file_that_disappears_costs_one_line(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {"a.png": png(1), "b.png": png(2)})
        units = plan_units(list_inputs([folder]).files, scratch, DEFAULT_LIMITS)
        (folder / "a.png").unlink()
        gone, read_line = predict_units(units, FakePredictor(), DEFAULT_LIMITS, 8, 8)  # type: ignore[arg-type]
        assert (gone.reason, read_line.status) == (Reason.UNREADABLE, StudyStatus.OK)
        assert "ENOENT" in (gone.files[0].message or "")


class TestStreaming:
    def test_batches_cross_studies(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {f"{number}.png": png(number) for number in range(10)})
        predictor = FakePredictor()
        assert len(read(scratch, folder, batch_size=4, predictor=predictor)) == 10
        assert predictor.batches == [4, 4, 2]

    def test_lines_appear_as_studies_finish(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {f"{number}.png": png(number) for number in range(6)} | {"0.txt": b"x"})
        looked_at: list[int] = []
        predictor = FakePredictor()
        units = plan_units(list_inputs([folder]).files, scratch, DEFAULT_LIMITS)
        lines = predict_units(units, predictor, DEFAULT_LIMITS, 2, 8, lambda: looked_at.append(1))  # type: ignore[arg-type]
        assert Path(next(lines).path).name == "0.png"
        assert predictor.batches == [2]
        assert len(looked_at) == 3
        assert [Path(line.path).name for line in lines] == ["0.txt", "1.png", "2.png", "3.png", "4.png", "5.png"]

    def test_pixels_of_a_long_study_are_not_kept(self, tmp_path: Path, scratch: Path) -> None:
        folder = write(tmp_path / "in", {f"{number:03}.dcm": dicom(7, number) for number in range(1, 61)})
        predictor = WatchfulPredictor()
        (line,) = read(scratch, folder, batch_size=4, predictor=predictor)
        assert len(line.files) == 60
        assert predictor.most_alive <= 2 * 4


@dataclass
class WatchfulPredictor(FakePredictor):
    """Counts how many of the pictures it was ever given are still in memory."""

    seen: list[weakref.ref[GreyImage]] = field(default_factory=list)
    most_alive: int = 0

    def predict(self, images: Sequence[GreyImage], *_: object, **__: object) -> list[SlicePrediction]:
        self.seen = [reference for reference in self.seen if reference() is not None]
        self.seen += [weakref.ref(image) for image in images]
        self.most_alive = max(self.most_alive, len(self.seen))
        return super().predict(images)


@pytest.mark.parametrize(
    ("patient_ids", "priority", "reasons"),
    [
        (("A", "A"), Priority.ROUTINE, ()),
        (("A", None), Priority.ROUTINE, ()),
        (("A", "B"), Priority.REVIEW, ("patient_id_conflict",)),
    ],
)
def test_slices_of_different_patients_in_one_study_are_for_review(
    tmp_path: Path, scratch: Path, patient_ids: tuple[str | None, ...], priority: Priority, reasons: tuple[str, ...]
) -> None:
    write(tmp_path, {f"{n}.dcm": dicom(7, n, patient_id=value) for n, value in enumerate(patient_ids, start=1)})
    (line,) = read(scratch, *sorted(tmp_path.glob("*.dcm")))
    assert (line.priority, tuple(line.review_reasons)) == (priority, reasons)


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no DICOM files at {SHARED}; set TRIAGE_SHARED")


@needs_shared
def test_all_shared_files_have_the_outcome_that_their_manifest_names(scratch: Path) -> None:
    with (SHARED / "MANIFEST.csv").open(newline="") as file:
        expected = {row["file"]: row["expected"].split("|") for row in csv.DictReader(file)}
    lines = read(scratch, SHARED)
    found = {
        names(line, SHARED)[index]: "predicted" if file.status == "read" else f"{file.status}:{file.reason}"
        for line in lines
        for index, file in enumerate(line.files)
    }
    wrong = {
        name: (outcome, expected[name])
        for name, outcome in found.items()
        if name in expected and name not in DEVIATIONS and outcome not in expected[name]
    }
    assert wrong == {}
    assert found.keys() >= {name for name in expected if "ignored" not in expected[name]}
