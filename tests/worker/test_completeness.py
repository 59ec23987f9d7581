"""When a study is read and whether it is called incomplete: quiet period, cap, gaps, archives, trouble on the way."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from tests.worker.conftest import NOON, ClockedServices
from tests.worker.filing import QUIET, add_file, header, receive, seconds
from tests.worker.scans import archive, dicom
from tests.worker.test_steps import Home
from worker.pipeline import INTAKE
from worker.store.archives import complete_archive
from worker.store.models import FileState, ScanFile, Study, StudyState

PATIENCE_SECONDS = 20.0
LONG_QUIET = 300.0


@pytest.fixture
def home(services: ClockedServices) -> Home:
    return Home(services)


def drop_slices(home: Home, study: int, *numbers: int) -> None:
    for number in numbers:
        home.drop(f"{study}-{number}.dcm", dicom(study, number))


class TestQuietPeriod:
    def test_a_slice_of_any_series_begins_it_anew(self, home: Home) -> None:
        drop_slices(home, 7, 1)
        home.run()
        home.services.wait(19)
        other = dicom(7, 2).replace(b"1.2.7.3\0", b"1.2.7.4\0")  # of another series
        home.drop("other.dcm", other)
        home.run()
        home.services.wait(19)
        home.run()
        assert home.study().state == StudyState.COLLECTING
        home.services.wait(1)
        home.run()
        study = home.study()
        assert len({instance.series_id for instance in study.instances}) == 2
        assert (study.state, study.incomplete) == (StudyState.REPORTED, False)

    def test_two_studies_that_arrive_together_wait_each_for_its_own(self, home: Home) -> None:
        for study, patient in ((7, "A"), (8, "B")):
            for number in (1, 2):
                home.drop(f"{study}-{number}.dcm", dicom(study, number, patient_id=patient))
        home.run()
        home.services.wait(10)
        drop_slices(home, 8, 3)
        home.run()
        home.services.wait(10)
        home.run()
        states = {study.study_uid: (study.state, study.patient_id) for study in home.studies()}
        assert states == {"1.2.7": (StudyState.REPORTED, "A"), "1.2.8": (StudyState.COLLECTING, "B")}
        home.services.wait(10)
        home.run()
        assert [study.state for study in home.studies()] == [StudyState.REPORTED] * 2
        assert not any(study.patient_id_conflict or study.incomplete for study in home.studies())


class TestIncomplete:
    def test_one_that_only_had_to_wait_for_the_disk_is_complete(self, home: Home, tmp_path: Path) -> None:
        drop_slices(home, 7, 1, 2)
        home.run()
        home.services.wait(20)
        home.settings.store.rename(tmp_path / "away")
        for _ in range(12):
            home.run()
            home.services.wait(300)
        (tmp_path / "away").rename(home.settings.store)
        home.run()
        assert (home.study().state, home.study().incomplete) == (StudyState.REPORTED, False)

    def test_the_missing_slice_completes_it_in_a_second_revision(self, home: Home) -> None:
        drop_slices(home, 7, 1, 2, 4)
        home.run_when_quiet()
        assert (home.study().revision, home.study().incomplete) == (1, True)
        drop_slices(home, 7, 3)
        home.run_when_quiet()
        assert (home.study().revision, home.study().incomplete) == (2, False)

    def test_one_that_was_cut_off_and_goes_on_is_complete_in_its_second_revision(self, home: Home) -> None:
        home.settings.quiet_max_seconds = 65
        for number in range(1, 6):
            drop_slices(home, 7, number)
            home.run()
            home.services.wait(15)
        home.run()
        assert (home.study().revision, home.study().incomplete) == (1, True)
        drop_slices(home, 7, 6)
        home.run_when_quiet()
        assert (home.study().revision, home.study().incomplete) == (2, False)


class TestArchive:
    def test_it_is_complete_at_once_when_its_last_member_is_a_duplicate(self, home: Home) -> None:
        home.drop("study.zip", archive({"1.dcm": dicom(7, 1), "again.dcm": dicom(7, 1)}))
        home.run()
        assert (home.study().state, home.study().incomplete) == (StudyState.REPORTED, False)

    def test_copies_in_an_archive_do_not_end_the_wait_of_a_study_that_still_arrives(self, home: Home) -> None:
        drop_slices(home, 7, 1)
        home.drop("copies.zip", archive({"copy.dcm": dicom(7, 1)}))
        home.run()
        assert {row.state for row in home.files().values()} == {FileState.READ, FileState.DUPLICATE}
        assert home.study().state == StudyState.COLLECTING

    def test_one_that_takes_longer_to_read_than_the_cap_is_not_incomplete(self, home: Home) -> None:
        home.settings.quiet_seconds, home.settings.quiet_max_seconds = LONG_QUIET, LONG_QUIET
        home.settings.claim_size = 1
        home.drop("study.zip", archive({f"{number}.dcm": dicom(7, number) for number in (1, 2, 3)}))
        for _ in range(4):
            home.visit(INTAKE)
            home.services.wait(LONG_QUIET - 1)
        home.run()
        assert (home.study().state, home.study().incomplete) == (StudyState.REPORTED, False)

    def test_two_workers_with_the_last_two_members_see_that_nothing_is_left(self, postgres_engine: Engine) -> None:
        sessions = sessionmaker(postgres_engine, expire_on_commit=False)
        with sessions.begin() as session:
            packed = add_file(session, "study.zip")
            packed.state = FileState.READ
            members = [add_file(session, f"{number}.dcm") for number in (1, 2)]
            study = receive(session, header())
            for member in members:
                member.archive_id, member.study_id = packed.id, study.id
        now = NOON + seconds(1)

        def read(member: ScanFile) -> None:
            with sessions.begin() as session:
                session.get_one(ScanFile, member.id).state = FileState.READ
                complete_archive(session, packed.id, now)

        second = threading.Thread(target=read, args=(members[1],))
        with sessions.begin() as session:
            session.get_one(ScanFile, members[0].id).state = FileState.READ
            complete_archive(session, packed.id, now)
            assert session.get_one(Study, study.id).not_before == NOON + QUIET
            second.start()
            second.join(0.3)
            assert second.is_alive(), "it must wait until the first has said that it is done"
        second.join(PATIENCE_SECONDS)
        with sessions.begin() as session:
            assert session.get_one(Study, study.id).not_before == now
