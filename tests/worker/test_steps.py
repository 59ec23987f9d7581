"""Every stage in one process: real files, real intake, real PDFs, SQLite; only the network is a stand-in."""

import errno
import hashlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from pypdf import PdfReader
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.worker.conftest import ClockedServices
from tests.worker.scans import FakePredictor, archive, dicom, enhanced, png, windowed
from trainer.runtime.bundle import file_sha256
from trainer.runtime.records import GreyImage, SlicePrediction
from worker import inbox_files
from worker.domain import ReadInstance
from worker.folders import make_folders
from worker.intake.archives import ExtractedMember, extract
from worker.intake.read import read_instance
from worker.outbox import Outbox
from worker.pipeline import ANALYSE, DELIVER, INTAKE, REJECT, REPORT, STAGES, Stage
from worker.stage_runner import STEPS, run_stage
from worker.steps import archive as archive_step
from worker.steps import deliver, intake, pixels
from worker.steps.intake import VANISHED_ATTEMPTS
from worker.store import queries
from worker.store.claims import LONGEST_RETRY_DELAY_SECONDS, Claim, claim_due
from worker.store.models import Event, FileState, Prediction, Report, ScanFile, Study, StudyState
from worker.store.objects import ObjectStore

BRIGHT = 150


class Home:
    """Drops files, visits stages, looks at what came of it."""

    def __init__(self, services: ClockedServices) -> None:
        self.services = services
        self.settings = services.settings
        self.reports = self.settings.outbox / "reports"
        self.rejected = self.settings.outbox / "rejected"

    def drop(self, name: str, content: bytes) -> None:
        """As the inbox does it."""
        path = self.settings.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        claim_id = inbox_files.claim(self.settings.inbox, self.settings.claimed, path)
        assert claim_id is not None
        with self.services.session.begin() as session:
            queries.add_file(session, claim_id, name, inbox_files.rank_of(name), self.services.now())

    def visit(self, stage: Stage) -> int:
        return run_stage(stage, self.services, lambda _: None)

    def run(self) -> None:
        """Until nothing is due."""
        while sum([self.visit(stage) for stage in STAGES.values()]):
            pass

    def run_when_quiet(self) -> None:
        self.run()
        self.services.wait(self.settings.quiet_seconds)
        self.run()

    def claim(self, stage: Stage) -> Claim:
        with self.services.session.begin() as session:
            claim = claim_due(session, stage.table, stage.takes, 16, self.services.now(), self.services.lease)
        assert claim is not None
        return claim

    def files(self) -> dict[str, ScanFile]:
        with self.services.session.begin() as session:
            return {row.original_name: row for row in session.scalars(select(ScanFile))}

    def studies(self) -> list[Study]:
        with self.services.session.begin() as session:
            return queries.whole_studies(session, session.scalars(select(Study.id)).all())

    def study(self) -> Study:
        (study,) = self.studies()
        return study

    def events(self) -> list[str]:
        with self.services.session.begin() as session:
            return list(session.scalars(select(Event.kind).order_by(Event.id)))

    def pdf_names(self) -> list[str]:
        return sorted(path.name for path in self.reports.iterdir())


@pytest.fixture
def home(services: ClockedServices) -> Home:
    return Home(services)


class TestPicture:
    def test_from_the_inbox_to_the_report(self, home: Home, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            home.drop("Anna Test.png", png(1, BRIGHT))
            home.run()
        study = home.study()
        assert (study.state, study.priority, study.results[0].label) == (StudyState.REPORTED, "urgent", "Glioma")
        assert home.events() == ["received", "analysed", "rendered", "reported"]
        assert home.pdf_names() == [f"{study.public_id}-r1.pdf"]
        text = PdfReader(BytesIO((home.reports / home.pdf_names()[0]).read_bytes())).pages[0].extract_text()
        assert "Glioma" in text
        assert study.public_id in (home.settings.outbox / "index.html").read_text()
        assert f"study {study.public_id} revision 1 reported: urgent, 1 image(s)" in caplog.text
        assert "Anna" not in caplog.text

    def test_once_stored_it_leaves_the_claimed_folder(self, home: Home) -> None:
        content = png(1)
        home.drop("a.png", content)
        home.visit(INTAKE)
        assert list(home.settings.claimed.iterdir()) == []
        row = home.files()["a.png"]
        assert (row.state, row.size_bytes) == (FileState.READ, len(content))
        assert home.services.objects.path_of(row.sha256).read_bytes() == content

    def test_several_pictures_are_read_in_one_pass(self, home: Home) -> None:
        for number in range(5):
            home.drop(f"{number}.png", png(number))
        home.run()
        assert home.services.predictor.batches == [5]
        assert len(home.pdf_names()) == 5

    def test_the_same_bytes_again_name_the_earlier_study(self, home: Home) -> None:
        home.drop("first.png", png(1))
        home.run()
        home.drop("second.png", png(1))
        home.run()
        second = home.files()["second.png"]
        assert (second.state, second.reason, second.study_id) == (FileState.DUPLICATE, "duplicate", home.study().id)
        assert len(home.pdf_names()) == 1
        assert home.study().revision == 1

    def test_the_same_bytes_at_the_same_moment(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home.drop("first.png", png(1))
        home.drop("second.png", png(1))
        with monkeypatch.context() as patch:
            patch.setattr(intake.queries, "instance_with_bytes", lambda *_: None)  # neither has committed yet
            home.visit(INTAKE)
        assert home.files()["second.png"].state == FileState.CLAIMED
        home.services.wait(10)
        home.run()
        assert [row.state for row in home.files().values()] == [FileState.READ, FileState.DUPLICATE]

    def test_what_the_database_refuses_again_and_again_is_given_up(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        add_instance = queries.add_instance

        def refuse(session: Session, file: ScanFile, *arguments: Any) -> Study:
            if file.original_name == "2.png":
                raise IntegrityError("INSERT", {"patient": "Anna"}, Exception("Anna"))
            return add_instance(session, file, *arguments)

        monkeypatch.setattr(intake.queries, "add_instance", refuse)
        for number in (1, 2, 3):
            home.drop(f"{number}.png", png(number))
        for crashes in range(home.settings.max_attempts + 1):
            home.run()
            files = home.files()
            assert [files[name].state for name in ("1.png", "3.png")] == [FileState.READ] * 2
            assert (files["2.png"].state, files["2.png"].crashes) == (FileState.CLAIMED, crashes)
            home.services.wait(1000)
        home.run()
        row = home.files()["2.png"]
        assert (row.state, row.reason) == (FileState.REJECTED, "timeout")
        assert (home.rejected / f"{row.id:08d}" / "2.png").read_bytes() == png(2)
        assert "file 2 is refused by the database, again" in caplog.text
        assert "Anna" not in caplog.text


class TestDicomStudy:
    def test_waits_until_it_is_quiet_then_is_read_whole(self, home: Home) -> None:
        for number in (1, 2, 3):
            home.drop(f"{number}.dcm", dicom(7, number, BRIGHT if number == 2 else 40))
        home.run()
        assert home.study().state == StudyState.COLLECTING
        home.services.wait(20)
        home.run()
        study = home.study()
        assert (study.state, study.incomplete, len(study.instances)) == (StudyState.REPORTED, False, 3)
        assert home.pdf_names() == [f"{study.public_id}-r1.pdf"]

    def test_two_studies_whose_public_ids_meet(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queries, "public_study_id", lambda _, taken=0: f"{taken:012d}")
        for number in (1, 2):
            for study in (7, 8, 9):
                home.drop(f"{study} {number}.dcm", dicom(study, number))
            home.run()
        home.run_when_quiet()
        assert [(study.public_id, len(study.instances)) for study in home.studies()] == [
            (f"{number:012d}", 2) for number in range(3)
        ]
        assert home.pdf_names() == [f"{number:012d}-r1.pdf" for number in range(3)]

    def test_a_missing_slice_is_noted(self, home: Home) -> None:
        for number in (1, 2, 4):
            home.drop(f"{number}.dcm", dicom(7, number))
        home.run_when_quiet()
        assert home.study().incomplete

    def test_a_study_that_never_goes_quiet_is_read_and_noted(self, home: Home) -> None:
        home.settings.quiet_max_seconds = 65
        for number in range(1, 6):
            home.drop(f"{number}.dcm", dicom(7, number))
            home.run()
            home.services.wait(15)
        assert home.services.predictor.batches == []
        home.run()
        assert (home.study().state, home.study().incomplete) == (StudyState.REPORTED, True)

    def test_slices_of_two_patients_in_one_study_are_for_review(self, home: Home) -> None:
        for number, patient_id in ((1, "A"), (2, "B")):
            home.drop(f"{number}.dcm", dicom(7, number, patient_id=patient_id))
        home.run_when_quiet()
        study = home.study()
        assert (study.priority, study.results[0].review_reasons) == ("review", ["patient_id_conflict"])

    def test_a_late_slice_opens_a_second_revision(self, home: Home) -> None:
        home.drop("1.dcm", dicom(7, 1))
        home.run_when_quiet()
        for number in (2, 3, 4, 5):
            home.drop(f"{number}.dcm", dicom(7, number, BRIGHT))
        home.run_when_quiet()
        study = home.study()
        assert (study.state, study.revision) == (StudyState.REPORTED, 2)
        assert [(row.revision, row.label) for row in study.results] == [(1, "No Tumor"), (2, "Glioma")]
        assert home.pdf_names() == [f"{study.public_id}-r1.pdf", f"{study.public_id}-r2.pdf"]

    def test_a_slice_that_arrives_while_its_study_is_read(self, home: Home) -> None:
        class Interrupted(FakePredictor):
            def predict(self, images: Sequence[GreyImage], *_: object) -> list[SlicePrediction]:
                if not self.batches:
                    for number in (2, 3, 4, 5):
                        home.drop(f"{number}.dcm", dicom(7, number, BRIGHT))
                    home.visit(INTAKE)
                return super().predict(images)

        home.services.__dict__["predictor"] = Interrupted()
        home.drop("1.dcm", dicom(7, 1))
        home.run_when_quiet()
        assert (home.study().state, home.study().results) == (StudyState.COLLECTING, [])
        home.run_when_quiet()
        study = home.study()
        assert (study.state, study.revision, [row.label for row in study.results]) == (
            StudyState.REPORTED, 1, ["Glioma"],
        )  # fmt: skip
        assert len(home.pdf_names()) == 1

    def test_a_slice_that_arrives_between_analysis_and_report(self, home: Home) -> None:
        for number in (1, 2):
            home.drop(f"{number}.dcm", dicom(7 + number, 1))
        home.run()
        home.services.wait(20)
        while home.visit(ANALYSE):
            pass
        with home.services.session.begin() as session:
            for study in session.scalars(select(Study)):
                study.kind = "image"  # so that one claim takes both
        claim = home.claim(REPORT)
        home.drop("late.dcm", dicom(8, 2))
        home.visit(INTAKE)
        STEPS["report"](home.services, claim)
        assert [study.state for study in home.studies()] == [StudyState.COLLECTING, StudyState.RENDERED]


class TestMultiFrame:
    def test_every_frame_is_a_slice_in_the_order_of_space(self, home: Home) -> None:
        home.drop("enhanced.dcm", enhanced(1, positions=[30, 10, 20], levels=[40, BRIGHT, 40]))
        home.run_when_quiet()
        with home.services.session.begin() as session:
            rows = session.scalars(select(Prediction).order_by(Prediction.frame)).all()
            assert [(row.frame, len(row.boxes)) for row in rows] == [(1, 0), (2, 1), (3, 0)]
        (pdf,) = home.reports.rglob("*.pdf")
        text = "".join(page.extract_text() for page in PdfReader(pdf).pages)
        assert "slice 1 of 3" in text  # the bright one: second in the file, first along the head
        assert home.study().state == StudyState.REPORTED

    def test_frames_and_slices_of_one_series_are_read_together(self, home: Home) -> None:
        home.drop("enhanced.dcm", enhanced(1, positions=[10, 30], levels=[40, 40]))
        home.drop("slice.dcm", dicom(1, 20, BRIGHT))
        home.run_when_quiet()
        (pdf,) = home.reports.rglob("*.pdf")
        assert "slice 2 of 3" in "".join(page.extract_text() for page in PdfReader(pdf).pages)

    def test_a_file_is_opened_once_for_all_its_frames(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[Path] = []

        def counted(path: Path, *arguments: object) -> ReadInstance:
            opened.append(path)
            return read_instance(path, *arguments)  # type: ignore[arg-type]

        home.drop("enhanced.dcm", enhanced(1, positions=range(7), levels=[40] * 7))
        home.run()
        home.services.wait(home.settings.quiet_seconds)
        monkeypatch.setattr(pixels, "read_instance", counted)
        home.visit(ANALYSE)
        assert len(opened) == 1


class TestWindow:
    def test_a_series_is_shown_by_one_window(self, home: Home) -> None:
        seen: list[float] = []

        class Looker(FakePredictor):
            def predict(self, images: Sequence[GreyImage], *_: object, **__: object) -> list[SlicePrediction]:
                seen.extend(float(image.mean()) for image in images)
                return super().predict(images)

        home.services.__dict__["predictor"] = Looker()
        for number, width in enumerate((256, 256, 1024)):
            home.drop(f"{number}.dcm", windowed(1, number, 60, width))
        home.run_when_quiet()
        assert seen == pytest.approx([60] * 3, abs=1)


class TestRejected:
    @pytest.mark.parametrize("name", ["Anna Test.jpg", "line\nbreak.jpg", "reason.txt", "REASON.TXT", "ward/x.jpg"])
    def test_given_back_byte_for_byte_with_a_reason(
        self, home: Home, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        with caplog.at_level(logging.INFO):
            home.drop(name, b"not a picture")
            home.run()
        row = home.files()[name]
        assert (row.state, row.reason, row.study_id) == (FileState.REJECTED, "not_an_image", None)
        folder = home.rejected / f"{row.id:08d}"
        contents = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert contents.pop("reason.txt") == f"not_an_image: {row.message}\n".encode()
        assert list(contents.values()) == [b"not a picture"]
        assert home.events() == ["rejected", "returned"]
        assert home.studies() == []
        assert "Anna" not in caplog.text

    def test_one_bad_file_of_a_study_does_not_hold_up_the_rest(self, home: Home) -> None:
        home.drop("1.dcm", dicom(7, 1))
        home.drop("2.dcm", dicom(7, 2)[:-3000])
        home.run_when_quiet()
        assert {row.state for row in home.files().values()} == {FileState.READ, FileState.REJECTED}
        assert (home.study().state, len(home.study().instances)) == (StudyState.REPORTED, 1)


class TestArchive:
    def test_members_become_files_of_their_own(self, home: Home) -> None:
        home.drop("stat/study.zip", archive({"a/1.dcm": dicom(7, 1), "a/2.dcm": dicom(7, 2), "b.png": png(1)}))
        home.run_when_quiet()
        files = home.files()
        packed = files.pop("stat/study.zip")
        assert packed.state == FileState.READ
        assert set(files) == {"stat/study.zip/a/1.dcm", "stat/study.zip/a/2.dcm", "stat/study.zip/b.png"}
        assert {(row.state, row.rank, row.archive_id) for row in files.values()} == {(FileState.READ, 0, packed.id)}
        assert [study.state for study in home.studies()] == [StudyState.REPORTED] * 2
        assert list(home.settings.claimed.iterdir()) == []

    def test_it_is_complete_at_once(self, home: Home) -> None:
        home.drop("study.zip", archive({"1.dcm": dicom(7, 1), "2.dcm": dicom(7, 2), "notes.jpg": b"no picture"}))
        home.run()
        assert home.study().state == StudyState.REPORTED, "no quiet period for what cannot get more slices"

    def test_an_attempt_that_is_cut_short_doubles_nothing(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home.drop("study.zip", archive({"1.dcm": dicom(7, 1), "2.dcm": dicom(7, 2)}))
        with monkeypatch.context() as patch:
            patch.setattr(intake, "forget_claim", lambda *_: None)
            patch.setattr("worker.steps.archive.move", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("killed")))
            with pytest.raises(RuntimeError, match="killed"):
                home.visit(INTAKE)
        assert len(home.files()) == 1
        assert list(home.settings.unpacking.iterdir()) == []
        home.services.wait(31)
        home.run_when_quiet()
        assert len(home.files()) == 3
        assert len(home.study().instances) == 2

    @pytest.mark.parametrize(
        ("error", "seconds"),
        [(KeyboardInterrupt(), 0), (OSError(errno.ENOSPC, "full"), 20)],
        ids=["killed", "full disk"],
    )
    def test_nothing_is_lost_of_one_that_is_cut_short_after_it_was_unpacked(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, error: BaseException, seconds: int
    ) -> None:
        """With the lease and the attempts that are shipped, which members without bytes would use up meanwhile."""
        until = home.services.now() + timedelta(seconds=seconds)

        def fail(*_: object) -> None:
            raise error

        home.drop("study.zip", archive({f"{number}.png": png(number) for number in range(3)}))
        for _ in range(120):
            with monkeypatch.context() as patch, suppress(KeyboardInterrupt):

                def extract_and_fail(*arguments: Any, patch: pytest.MonkeyPatch = patch) -> list[ExtractedMember]:
                    members = extract(*arguments)
                    patch.setattr(Path, "rename", fail)
                    patch.setattr(Path, "replace", fail)
                    return members

                if home.services.now() <= until:
                    patch.setattr(archive_step, "extract", extract_and_fail)
                while home.visit(INTAKE):
                    pass
            home.services.wait(1)
        assert [row.state for row in home.files().values()] == [FileState.READ] * 4

    def test_a_worker_that_was_overtaken_files_nothing_half_written(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was frozen for longer than its lease, and wakes up while another one unpacks the same archive."""

        def write_half_and_stop(_: Path, folder: Path, *__: object) -> None:
            (folder / "000000").write_bytes(b"half")
            monkeypatch.setattr(archive_step.shutil, "rmtree", lambda *_, **__: None)  # it goes on later
            raise KeyboardInterrupt

        def extract_and_be_overtaken(*arguments: Any) -> list[ExtractedMember]:
            members = extract(*arguments)
            home.services.wait(31)
            monkeypatch.setattr(archive_step, "extract", write_half_and_stop)
            with pytest.raises(KeyboardInterrupt):
                home.visit(INTAKE)
            monkeypatch.undo()
            return members

        home.drop("study.zip", archive({"1.png": png(1)}))
        monkeypatch.setattr(archive_step, "extract", extract_and_be_overtaken)
        home.visit(INTAKE)
        for path in home.settings.store.glob("??/*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        home.services.wait(31)
        home.run()
        assert [row.state for row in home.files().values()] == [FileState.READ] * 2
        assert list(home.settings.unpacking.iterdir()) == []

    def test_one_that_is_given_up_leaves_nothing_unpacked(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        content = archive({"1.png": png(1)})
        home.drop("study.zip", content)
        with monkeypatch.context() as patch:
            patch.setattr(archive_step.shutil, "rmtree", lambda *_, **__: None)  # as nobody can who is killed
            patch.setattr(archive_step, "extract", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                home.visit(INTAKE)
        assert list(home.settings.unpacking.iterdir()) != []
        with home.services.session.begin() as session:
            session.execute(update(ScanFile).values(crashes=home.settings.max_attempts))
        home.services.wait(31)
        home.run()
        row = home.files()["study.zip"]
        assert (row.state, row.reason) == (FileState.REJECTED, "timeout")
        assert list(home.settings.unpacking.iterdir()) == []

    @pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no second file system")
    def test_an_inbox_on_a_disk_of_its_own(self, home: Home) -> None:
        with TemporaryDirectory(prefix="triage-", dir="/dev/shm") as elsewhere:
            shutil.rmtree(home.settings.inbox)
            home.settings.inbox.symlink_to(elsewhere)
            make_folders(home.settings)
            assert home.settings.claimed.stat().st_dev != home.settings.store.stat().st_dev
            home.drop("study.zip", archive({"1.dcm": dicom(7, 1), "2.dcm": dicom(7, 2), "notes.jpg": b"no picture"}))
            home.run()
            assert home.study().state == StudyState.REPORTED
            states = Counter(row.state for row in home.files().values())
            assert states == {FileState.READ: 3, FileState.REJECTED: 1}

    def test_one_inside_another_is_not_opened(self, home: Home) -> None:
        """There are archives that hold themselves, and would be unpacked for ever."""
        inner = archive({"1.png": png(1)})
        home.drop("study.zip", archive({"inner.zip": inner, "2.png": png(2)}))
        home.run()
        files = home.files()
        assert set(files) == {"study.zip", "study.zip/inner.zip", "study.zip/2.png"}
        row = files["study.zip/inner.zip"]
        assert (row.state, row.reason) == (FileState.REJECTED, "unsupported_type")
        assert [path.read_bytes() for path in (home.rejected / f"{row.id:08d}").glob("*.zip")] == [inner]
        assert files["study.zip/2.png"].state == FileState.READ

    def test_one_that_is_refused_is_given_back_whole(self, home: Home) -> None:
        content = archive({"../escape.dcm": dicom(7, 1), "2.dcm": dicom(7, 2)})
        home.drop("study.zip", content)
        home.run()
        row = home.files()["study.zip"]
        assert (row.state, row.reason) == (FileState.REJECTED, "bad_archive")
        assert (home.rejected / f"{row.id:08d}" / "study.zip").read_bytes() == content
        assert len(home.files()) == 1


class TestTrouble:
    @pytest.mark.parametrize("how", ["time", "memory"])
    def test_a_file_that_costs_too_much_costs_its_neighbours_nothing(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        poison = png(2)
        poisoned = hashlib.sha256(poison).hexdigest()
        home.services.limits = replace(home.services.limits, max_file_seconds=0.2, max_file_memory_bytes=400 * 2**20)

        def read(path: Path, *arguments: object) -> ReadInstance:
            eaten = []
            while path.name == poisoned:
                eaten.append(bytes(16 * 2**20 if how == "memory" else 0))
            return read_instance(path, *arguments)

        monkeypatch.setattr(intake, "read_instance", read)
        for name, content in (("1.png", png(1)), ("2.png", poison), ("3.png", png(3))):
            home.drop(name, content)
        for tries in range(home.settings.max_attempts):
            home.run()
            files = home.files()
            assert [files[name].state for name in ("1.png", "3.png")] == [FileState.READ] * 2
            assert (files["2.png"].state, files["2.png"].crashes) == (FileState.CLAIMED, tries + 1)
            home.services.wait(1000)
        home.run()
        row = home.files()["2.png"]
        assert (row.state, row.reason) == (FileState.REJECTED, "timeout")
        assert (home.rejected / f"{row.id:08d}" / "2.png").read_bytes() == poison

    def test_a_claim_does_not_begin_what_may_outlive_its_task(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = [0.0]

        def slow_read(*arguments: Any) -> ReadInstance:
            clock[0] += 1000
            return read_instance(*arguments)

        monkeypatch.setattr(intake, "read_instance", slow_read)
        monkeypatch.setattr(intake, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        for number in range(5):
            home.drop(f"{number}.png", png(number))
        home.visit(INTAKE)
        states = [row.state for row in home.files().values()]
        assert states == [FileState.READ] * 3 + [FileState.CLAIMED] * 2, "2,000 of 3,600 seconds leave time for 1,285"
        home.services.wait(10)
        home.run()
        assert {(row.state, row.crashes) for row in home.files().values()} == {(FileState.READ, 0)}

    def test_a_study_takes_no_more_files_than_allowed(self, home: Home) -> None:
        home.services.limits = replace(home.services.limits, max_study_files=2)
        for number in range(3):
            home.drop(f"{number}.dcm", dicom(7, number))
        home.drop("again.dcm", dicom(7, 0))
        home.drop("other.dcm", dicom(8, 0))
        home.run_when_quiet()
        states = {name: (row.state, row.reason) for name, row in home.files().items()}
        assert states.pop("2.dcm") == (FileState.REJECTED, "too_large")
        assert states.pop("again.dcm") == (FileState.DUPLICATE, "duplicate")
        assert set(states.values()) == {(FileState.READ, None)}
        message = home.files()["2.dcm"].message
        assert message is not None
        assert "TRIAGE_MAX_STUDY_FILES" in message
        assert sorted(len(study.instances) for study in home.studies()) == [1, 2]

    def test_a_file_too_large_for_anything_is_given_back_without_being_copied(self, home: Home) -> None:
        home.services.limits = replace(home.services.limits, max_file_bytes=10, max_archive_bytes=10)
        content = png(1)
        home.drop("huge.png", content)
        home.run()
        row = home.files()["huge.png"]
        assert (row.state, row.reason, row.sha256) == (FileState.REJECTED, "too_large", None)
        assert (home.rejected / f"{row.id:08d}" / "huge.png").read_bytes() == content
        assert list(home.settings.claimed.iterdir()) == []

    def test_a_claimed_file_that_vanished_is_said_to_have(self, home: Home) -> None:
        home.drop("a.png", png(1))
        shutil.rmtree(home.settings.claimed)
        home.settings.claimed.mkdir()
        for _ in range(VANISHED_ATTEMPTS):
            assert home.files()["a.png"].state == FileState.CLAIMED
            home.run()
            home.services.wait(LONGEST_RETRY_DELAY_SECONDS)
        row = home.files()["a.png"]
        assert (row.state, row.reason) == (FileState.REJECTED, "unreadable")
        assert "vanished" in (row.message or "")

    def test_an_inbox_that_is_away_only_delays_intake(self, home: Home, tmp_path: Path) -> None:
        home.drop("a.png", png(1))
        home.settings.inbox.rename(tmp_path / "away")
        for _ in range(VANISHED_ATTEMPTS - 1):
            home.run()
            home.services.wait(LONGEST_RETRY_DELAY_SECONDS)
        (tmp_path / "away").rename(home.settings.inbox)
        home.run()
        assert home.study().state == StudyState.REPORTED

    def test_a_claimed_file_that_is_back_after_all_is_not_removed(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.drop("a.png", png(1))
        monkeypatch.setattr(intake, "VANISHED_ATTEMPTS", 1)
        monkeypatch.setattr(intake, "VANISHED_AGE", timedelta(0))
        home.settings.claimed.rename(tmp_path / "away")
        home.visit(INTAKE)
        deliver_bytes = Outbox.deliver_bytes

        def deliver_while_it_comes_back(*arguments: Any) -> None:
            (tmp_path / "away").rename(home.settings.claimed)
            deliver_bytes(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Outbox, "deliver_bytes", deliver_while_it_comes_back)
            home.visit(REJECT)
        assert home.files()["a.png"].state == FileState.REJECTED
        assert [path.read_bytes() for path in home.settings.claimed.rglob("*.png")] == [png(1)]

    def test_a_file_that_changes_while_it_is_stored_is_stored_again(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.drop("a.png", png(1)[:100])
        put = ObjectStore.put

        def put_while_it_is_written(store: ObjectStore, source: BinaryIO) -> tuple[str, int]:
            found = put(store, source)
            with next(home.settings.claimed.rglob("a.png")).open("ab") as writer:
                writer.write(png(1)[100:])
            return found

        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "put", put_while_it_is_written)
            home.visit(INTAKE)
        assert home.files()["a.png"].sha256 is None
        home.services.wait(10)
        home.run()
        assert home.study().state == StudyState.REPORTED

    def test_a_report_delivered_late_does_not_stay_over_a_newer_one_of_its_revision(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.drop("1.dcm", dicom(7, 1))
        for stage in (INTAKE, ANALYSE, REPORT):
            home.services.wait(400)
            home.visit(stage)
        deliver_stream = Outbox.deliver_stream

        def deliver_late(outbox: Outbox, relative: str, source: BinaryIO) -> None:
            monkeypatch.setattr(Outbox, "deliver_stream", deliver_stream)
            home.drop("2.dcm", dicom(7, 2))
            home.services.wait(400)
            home.run()
            deliver_stream(outbox, relative, source)

        monkeypatch.setattr(Outbox, "deliver_stream", deliver_late)
        home.visit(DELIVER)
        assert home.study().state == StudyState.REPORTED
        (report,) = (home.settings.outbox / "reports").glob("*.pdf")
        with home.services.session.begin() as session:
            assert file_sha256(report) == session.query(Report).one().sha256

    def test_a_store_that_is_away_only_delays_analysis(self, home: Home, tmp_path: Path) -> None:
        home.drop("a.png", png(1))
        home.visit(INTAKE)
        home.settings.store.rename(tmp_path / "away")
        for _ in range(10):
            home.run()
            home.services.wait(400)
        assert home.study().state == StudyState.COLLECTING
        (tmp_path / "away").rename(home.settings.store)
        home.run()
        assert home.study().state == StudyState.REPORTED

    def test_a_full_disk_only_delays_intake(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home.drop("a.png", png(1))
        with monkeypatch.context() as patch:
            patch.setattr(home.services, "has_room", lambda _: False)
            for _ in range(10):
                home.run()
                home.services.wait(300)
        assert home.files()["a.png"].state == FileState.CLAIMED
        assert len(list(home.settings.claimed.iterdir())) == 1
        home.run()
        assert home.study().state == StudyState.REPORTED

    @pytest.mark.parametrize("room_for", ["half of it", "its copy and half of its members"])
    def test_an_archive_waits_for_room_before_anything_is_written(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, room_for: str
    ) -> None:
        content = archive({f"{number}.png": png(number) for number in range(20)})  # they do not get smaller in it
        free = len(content) * (1 if room_for == "half of it" else 3) // 2
        seen = set()

        def disk_usage(_: object) -> SimpleNamespace:
            stored = sum(path.stat().st_size for path in home.settings.store.rglob("*") if path.is_file())
            seen.add(stored)
            return SimpleNamespace(free=free - stored)

        home.drop("study.zip", content)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", disk_usage)
            for _ in range(10):
                home.run()
                home.services.wait(300)
        assert home.files()["study.zip"].state == FileState.CLAIMED
        assert seen <= {0, len(content)}, "nothing of it was unpacked"
        assert list(home.settings.unpacking.glob("*")) == []
        home.run()
        assert len(home.studies()) == 20

    def test_an_outbox_that_cannot_be_written_only_delays_delivery(
        self, home: Home, caplog: pytest.LogCaptureFixture
    ) -> None:
        home.reports.rmdir()
        home.reports.write_text("in the way")
        home.drop("a.png", png(1))
        for _ in range(10):
            home.run()
            home.services.wait(300)
        assert home.study().state == StudyState.RENDERED
        assert str(home.settings.home) not in caplog.text
        home.reports.unlink()
        home.run()
        assert home.study().state == StudyState.REPORTED
        assert len(home.pdf_names()) == 1

    def test_a_delivery_cut_short_is_done_again_without_doubling(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.drop("a.png", png(1))
        for stage in (INTAKE, ANALYSE, REPORT):
            home.visit(stage)
        with monkeypatch.context() as patch:
            patch.setattr(deliver, "_announce", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
            with pytest.raises(RuntimeError, match="killed"):
                home.visit(DELIVER)
        assert (len(home.pdf_names()), home.study().state) == (1, StudyState.RENDERED)
        home.services.wait(31)
        home.run()
        assert (len(home.pdf_names()), home.study().state) == (1, StudyState.REPORTED)
        assert home.events().count("reported") == 1

    def test_a_stored_scan_that_is_damaged_fails_its_study_with_a_reason(self, home: Home) -> None:
        home.drop("a.png", png(1))
        home.visit(INTAKE)
        self.stored(home).write_bytes(b"rot")
        for _ in range(3):
            with pytest.raises(Exception, match="not_an_image"):
                home.visit(ANALYSE)
            home.services.wait(31)
        home.run()
        study = home.study()
        assert (study.state, study.priority) == (StudyState.FAILED, None)
        assert "analyse failed in 3 attempts" in study.failure
        assert study.public_id in (home.settings.outbox / "index.html").read_text()
        with home.services.session.begin() as session:
            assert session.scalars(select(Report)).all() == []

    @staticmethod
    def stored(home: Home) -> Path:
        return home.services.objects.path_of(home.files()["a.png"].sha256)
