"""Queries on SQLite and on Postgres: files, studies as instances arrive, ageing, counts."""

from datetime import datetime

import pytest
from sqlalchemy import Engine, func, inspect, select, text
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import NOON
from tests.worker.filing import AXIAL, QUIET, QUIET_MAX, add_file, header, receive, seconds
from tests.worker.scans import healthy_prediction, tumor_prediction
from trainer.runtime.decision import Calibration
from worker.analysis import conclude
from worker.domain import PatientText, SliceFinding
from worker.store import queries
from worker.store.claims import claim_due, move
from worker.store.models import (
    UNFINISHED_FILES,
    UNFINISHED_STUDIES,
    Event,
    FileState,
    Instance,
    LesionBox,
    Prediction,
    ScanFile,
    Series,
    Study,
    StudyState,
)
from worker.store.progress import count_by_state, due_since, last_event, oldest_waiting
from worker.store.reports import add_report, rendered_reports

Sessions = sessionmaker[Session]


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def set_state(sessions: Sessions, state: StudyState) -> None:
    with sessions.begin() as session:
        session.scalars(select(Study)).one().state = state


def arrive(sessions: Sessions, number: int, at: datetime, rank: int = 1) -> Study:
    with sessions.begin() as session:
        return receive(session, header(number), at, rank)


class TestFiles:
    def test_a_claim_is_registered_once(self, sessions: Sessions) -> None:
        for name, at in (("first.jpg", NOON), ("again.jpg", NOON + seconds(9))):
            with sessions.begin() as session:
                queries.add_file(session, "c" * 32, name, 1, at)
        with sessions.begin() as session:
            row = session.scalars(select(ScanFile)).one()
        assert (row.original_name, row.received_at, row.state, row.attempts) == (
            "first.jpg", NOON, FileState.CLAIMED, 0,
        )  # fmt: skip

    def test_any_name_is_kept(self, sessions: Sessions) -> None:
        name = "stat/Ünï 'quote' \"x\" \n 🧠 \\xff %s :id.jpg"
        with sessions.begin() as session:
            file_id = add_file(session, name).id
        with sessions.begin() as session:
            assert session.get_one(ScanFile, file_id).original_name == name

    def test_a_file_of_several_gigabytes_is_counted(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            file = add_file(session)
            file.size_bytes = 5 * 2**30
        with sessions.begin() as session:
            assert session.get_one(ScanFile, file.id).size_bytes == 5 * 2**30

    def test_known_and_finished_claims(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            waiting, stored, read = (add_file(session) for _ in range(3))
            stored.sha256 = "a" * 64
            read.state, read.sha256 = FileState.READ, "b" * 64
        asked = [waiting.claim_id, stored.claim_id, read.claim_id, "unknown"]
        with sessions.begin() as session:
            assert queries.known_claims(session, asked) == set(asked[:3])
            assert queries.finished_claims(session, asked) == {read.claim_id}

    def test_in_the_order_asked_for(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            ids = [add_file(session).id for _ in range(3)]
        with sessions.begin() as session:
            assert [row.id for row in queries.files(session, ids[::-1])] == ids[::-1]


class TestArrival:
    def test_the_first_instance_opens_study_and_series(self, sessions: Sessions) -> None:
        study = arrive(sessions, 1, NOON)
        assert (study.state, study.kind, study.revision) == (StudyState.COLLECTING, "dicom", 1)
        assert (study.patient_name, study.received_at, study.not_before) == ("Test^Anna", NOON, NOON + QUIET)
        with sessions.begin() as session:
            series = session.scalars(select(Series)).one()
            instance = session.scalars(select(Instance)).one()
        assert (series.series_uid, series.number, series.description, series.modality) == (
            "1.2.3.9", 4, "T1 axial", "MR",
        )  # fmt: skip
        assert (instance.rows, instance.columns, instance.spacing_mm) == (80, 90, [0.5, 0.25])
        assert (instance.position_mm, instance.orientation) == ([0.0, 0.0, 1.0], list(AXIAL))

    def test_the_next_instance_joins_and_starts_the_quiet_period_again(self, sessions: Sessions) -> None:
        arrive(sessions, 1, NOON)
        study = arrive(sessions, 2, NOON + seconds(15))
        assert study.not_before == NOON + seconds(15) + QUIET
        with sessions.begin() as session:
            assert [count(session, table) for table in (Study, Series, Instance)] == [1, 1, 2]

    def test_a_study_that_never_goes_quiet_is_read_at_the_cap(self, sessions: Sessions) -> None:
        for number in range(1, 43):
            study = arrive(sessions, number, NOON + (number - 1) * seconds(14.5))
        assert study.not_before == NOON + QUIET_MAX

    def test_a_picture_is_a_study_of_its_own_and_due_at_once(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            first = receive(session, header(1, None))
            second = receive(session, header(2, None))
        assert (first.kind, first.not_before) == ("image", NOON)
        assert first.public_id != second.public_id

    def test_another_series_of_the_study(self, sessions: Sessions) -> None:
        arrive(sessions, 1, NOON)
        with sessions.begin() as session:
            receive(session, header(2, series_uid="1.2.3.10"))
            assert [count(session, table) for table in (Study, Series, Instance)] == [1, 2, 2]

    def test_an_urgent_file_makes_its_study_urgent_and_a_later_one_does_not_undo_it(self, sessions: Sessions) -> None:
        assert arrive(sessions, 1, NOON, rank=1).rank == 1
        assert arrive(sessions, 2, NOON, rank=0).rank == 0
        assert arrive(sessions, 3, NOON, rank=1).rank == 0

    def test_the_same_bytes_are_found(self, sessions: Sessions) -> None:
        study = arrive(sessions, 1, NOON)
        with sessions.begin() as session:
            known = queries.instance_with_bytes(session, header(1).sha256)
            assert known is not None
            assert known.study_id == study.id
            assert queries.instance_with_bytes(session, header(2).sha256) is None

    def test_the_same_sop_uid_with_other_pixels_is_kept_with_a_warning(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            for number, uid in ((1, "1.7"), (2, "1.7"), (3, "1.8")):
                receive(session, header(number, sop_uid=uid))
            receive(session, header(4, "1.2.99", sop_uid="1.8"))  # another study may use it
        with sessions.begin() as session:
            warnings = session.scalars(select(Instance.warning).order_by(Instance.id)).all()
        assert warnings == [None, queries.SAME_SOP_UID, None, None]

    def test_a_warning_of_reading_is_not_lost_to_that_of_the_sop_uid(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            receive(session, header(1, sop_uid="1.7"))
            queries.add_instance(
                session, add_file(session), [header(2, sop_uid="1.7")], "First frame only.", NOON, QUIET, QUIET_MAX
            )
        with sessions.begin() as session:
            assert session.scalars(select(Instance.warning)).all()[1] == f"First frame only. {queries.SAME_SOP_UID}"

    @pytest.mark.parametrize(
        ("patient_ids", "kept", "conflict"),
        [
            (["A", "A"], "A", False),
            (["A", None], "A", False),
            ([None, "A"], "A", False),
            ([None, None], None, False),
            (["A", "B"], "A", True),
            (["A", "B", "A"], "A", True),
            ([None, "A", "B"], "A", True),
        ],
    )
    def test_slices_of_different_patients_are_noted(
        self, sessions: Sessions, patient_ids: list[str | None], kept: str | None, conflict: bool
    ) -> None:
        for number, patient_id in enumerate(patient_ids):
            with sessions.begin() as session:
                receive(session, header(number, patient=PatientText(patient_id=patient_id)))
        with sessions.begin() as session:
            study = session.scalars(select(Study)).one()
            assert (study.patient_id, study.patient_id_conflict) == (kept, conflict)

    def test_after_the_report_a_late_slice_opens_a_revision(self, sessions: Sessions) -> None:
        arrive(sessions, 1, NOON)
        set_state(sessions, StudyState.REPORTED)
        study = arrive(sessions, 2, NOON + seconds(900))
        assert (study.state, study.revision) == (StudyState.COLLECTING, 2)
        assert (study.received_at, study.waiting_since) == (NOON, NOON + seconds(900))
        assert study.not_before == NOON + seconds(900) + QUIET
        with sessions.begin() as session:
            assert session.scalars(select(Event.kind)).all() == ["revision_opened"]

    @pytest.mark.parametrize("state", [StudyState.COLLECTING, StudyState.ANALYSED, StudyState.RENDERED])
    def test_before_the_report_the_revision_stays(self, sessions: Sessions, state: StudyState) -> None:
        arrive(sessions, 1, NOON)
        set_state(sessions, state)
        study = arrive(sessions, 2, NOON + seconds(5))
        assert (study.state, study.revision) == (StudyState.COLLECTING, 1)

    def test_a_failed_study_is_tried_again_with_its_late_slice(self, sessions: Sessions) -> None:
        arrive(sessions, 1, NOON)
        with sessions.begin() as session:
            study = session.scalars(select(Study)).one()
            study.state, study.failure, study.attempts = StudyState.FAILED, "it failed", 4
        study = arrive(sessions, 2, NOON)
        assert (study.state, study.failure, study.attempts) == (StudyState.COLLECTING, None, 0)

    def test_an_instance_that_arrives_during_analysis_revokes_the_claim(self, sessions: Sessions) -> None:
        arrive(sessions, 1, NOON)
        now = NOON + seconds(60)
        with sessions.begin() as session:
            held = claim_due(session, Study, StudyState.COLLECTING, 16, now, seconds(30))
            assert held is not None
        arrive(sessions, 2, now)
        with sessions.begin() as session:
            moved = move(session, Study, held.ids[0], held.token, StudyState.COLLECTING, state=StudyState.ANALYSED)
            assert not moved
            study = session.get_one(Study, held.ids[0])
            assert (study.state, study.not_before, study.attempts) == (StudyState.COLLECTING, now + QUIET, 0)


class TestResults:
    def add_result(self, session: Session, study_id: int, *, tumor: bool) -> None:
        study = queries.whole_studies(session, [study_id])[0]
        prediction = tumor_prediction() if tumor else healthy_prediction()
        analysis = conclude([SliceFinding(header(1), prediction)], Calibration())
        ids = {instance.sha256: instance.id for instance in study.instances}
        queries.add_result(session, study, analysis, ids, "model-1", "openvino", NOON)

    def test_everything_of_an_answer_is_kept(self, sessions: Sessions) -> None:
        study_id = arrive(sessions, 1, NOON).id
        with sessions.begin() as session:
            self.add_result(session, study_id, tumor=True)
        with sessions.begin() as session:
            study = queries.whole_studies(session, [study_id])[0]
        (result,), (prediction,) = study.results, study.instances[0].predictions
        assert (result.label, result.priority, result.model_version, result.engine) == (
            "Glioma", "urgent", "model-1", "openvino",
        )  # fmt: skip
        assert sum(result.probabilities) == pytest.approx(1)
        assert prediction.classifier_probabilities == list(tumor_prediction().classifier_probabilities)
        (box,), (expected,) = prediction.boxes, tumor_prediction().boxes
        assert (box.label, box.score, (box.x1, box.y1, box.x2, box.y2)) == (expected.label, 0.8, expected.xyxy)

    def test_a_revision_is_forgotten_and_the_earlier_ones_stay(self, sessions: Sessions) -> None:
        study_id = arrive(sessions, 1, NOON).id
        for revision in (1, 2):
            with sessions.begin() as session:
                study = session.get_one(Study, study_id)
                study.revision = revision
                self.add_result(session, study_id, tumor=True)
                add_report(session, study, "f" * 64, f"r{revision}.pdf", None, NOON)
        with sessions.begin() as session:
            queries.forget_revision(session, queries.whole_studies(session, [study_id])[0])
        with sessions.begin() as session:
            study = queries.whole_studies(session, [study_id])[0]
            assert [row.revision for row in study.results] == [1]
            assert [row.revision for row in study.reports] == [1]
            assert [row.revision for row in study.instances[0].predictions] == [1]
            assert [count(session, table) for table in (Prediction, LesionBox)] == [1, 1]
            self.add_result(session, study_id, tumor=False)  # the same revision can be answered again


class TestRenderedReports:
    def rendered(self, session: Session, number: int, state: StudyState = StudyState.RENDERED) -> int:
        study = receive(session, header(number, f"1.{number}"))
        receive(session, header(number + 100, f"1.{number}"))
        for revision in (1, 2):
            study.revision = revision
            add_report(session, study, f"{number}{revision}" * 32, f"r{revision}.pdf", None, NOON)
        study.state = state
        return study.id

    def test_the_newest_report_of_each_study_in_the_order_asked_for(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            ids = [self.rendered(session, number) for number in (1, 2)][::-1]
            reopened = self.rendered(session, 3, StudyState.COLLECTING)
        with sessions.begin() as session:
            found = rendered_reports(session, [*ids, reopened])
        assert [(row.study.id, row.report.sha256, row.images) for row in found] == [
            (ids[0], "22" * 32, 2), (ids[1], "12" * 32, 2),
        ]  # fmt: skip
        assert "instances" in inspect(found[0].study).unloaded


class TestWaiting:
    def test_what_has_waited_too_long_becomes_urgent(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            old_study, new_study = (receive(session, header(1, f"1.{n}"), NOON + seconds(n)) for n in (0, 2))
            old_file, new_file = (add_file(session, at=NOON + seconds(n)) for n in (0, 2))
            queries.lift_long_waiting(session, NOON + seconds(101), seconds(100))
        with sessions.begin() as session:
            assert [session.get_one(Study, row.id).rank for row in (old_study, new_study)] == [0, 1]
            assert [session.get_one(ScanFile, row.id).rank for row in (old_file, new_file)] == [0, 1]

    @pytest.mark.parametrize("state", StudyState)
    def test_a_study_is_finished_or_not(self, state: StudyState) -> None:
        assert (state in UNFINISHED_STUDIES) is (state not in {StudyState.REPORTED, StudyState.FAILED})

    @pytest.mark.parametrize("state", FileState)
    def test_a_file_is_finished_or_not(self, state: FileState) -> None:
        assert (state in UNFINISHED_FILES) is (state in {FileState.CLAIMED, FileState.REJECTING})

    @pytest.mark.parametrize("state", [StudyState.REPORTED, StudyState.FAILED])
    def test_finished_studies_are_not_lifted(self, sessions: Sessions, state: StudyState) -> None:
        arrive(sessions, 1, NOON)
        set_state(sessions, state)
        with sessions.begin() as session:
            queries.lift_long_waiting(session, NOON + seconds(1000), seconds(100))
        with sessions.begin() as session:
            assert session.scalars(select(Study.rank)).one() == 1

    def test_the_oldest_unfinished_row(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            assert oldest_waiting(session) is None
            finished = add_file(session, at=NOON - seconds(50))
            finished.state = FileState.READ
            add_file(session, at=NOON - seconds(20))
        arrive(sessions, 1, NOON - seconds(30))
        with sessions.begin() as session:
            assert oldest_waiting(session) == NOON - seconds(30)
        set_state(sessions, StudyState.REPORTED)
        with sessions.begin() as session:
            assert oldest_waiting(session) == NOON - seconds(20)

    def test_since_when_rows_are_due(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            add_file(session, at=NOON + seconds(5))
            assert due_since(session, ScanFile, FileState.CLAIMED, NOON) is None
            assert due_since(session, ScanFile, FileState.CLAIMED, NOON + seconds(9)) == NOON + seconds(5)

    def test_counts_by_state(self, sessions: Sessions) -> None:
        with sessions.begin() as session:
            for state in (FileState.READ, FileState.READ, FileState.REJECTED):
                add_file(session).state = state
        with sessions.begin() as session:
            assert count_by_state(session, ScanFile) == {"read": 2, "rejected": 1}


class TestEvents:
    def test_of_a_study_and_its_files_in_order(self, sessions: Sessions) -> None:
        study_id = arrive(sessions, 1, NOON).id
        with sessions.begin() as session:
            study = queries.whole_studies(session, [study_id])[0]
            other = add_file(session)
            queries.record(session, "rejected", NOON, file_id=other.id)
            queries.record(session, "received", NOON, file_id=study.files[0].id)
            queries.record(session, "analysed", NOON + seconds(1), study.id, detail="3 slices")
        with sessions.begin() as session:
            assert [event.kind for event in queries.events_of(session, study)] == ["received", "analysed"]
            assert last_event(session, ["received", "analysed"]) == NOON + seconds(1)
            assert last_event(session, ["reported"]) is None

    def test_failed_studies(self, sessions: Sessions) -> None:
        study = arrive(sessions, 1, NOON)
        with sessions.begin() as session:
            assert queries.failed_studies(session) == []
        set_state(sessions, StudyState.FAILED)
        with sessions.begin() as session:
            assert [row.id for row in queries.failed_studies(session)] == [study.id]

    def test_a_study_by_the_name_people_use(self, sessions: Sessions) -> None:
        study = arrive(sessions, 1, NOON)
        with sessions.begin() as session:
            found = queries.study_by_public_id(session, study.public_id)
            assert found is not None
            assert found.id == study.id
            assert queries.study_by_public_id(session, "0" * 12) is None


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT max(at) FROM event WHERE kind = 'received'", "ix_event_kind_at"),
        ("UPDATE study SET rank = 0 WHERE state IN ('collecting', 'analysed')", "ix_study_due"),
        ("UPDATE file SET rank = 0 WHERE state IN ('claimed', 'rejecting')", "ix_file_due"),
    ],
)
def test_what_is_asked_every_few_seconds_walks_over_no_table(sqlite_engine: Engine, statement: str, index: str) -> None:
    with sqlite_engine.connect() as connection:
        plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {statement}")).all())
    assert "SEARCH" in plan
    assert index in plan


def test_files_of_series_that_are_not_read_say_so_until_they_are(sessions: Sessions) -> None:
    with sessions.begin() as session:
        study = receive(session, header(1))
        receive(session, header(2, series_uid="1.2.3.10"))
        session.expire_all()
        first, second = study.instances
        queries.note_left_out(session, study, {second.sha256: "Others show more."})
        assert [(file.state, file.reason, file.message) for file in study.files] == [
            (FileState.READ, None, None),
            (FileState.LEFT_OUT, "series_not_selected", "Others show more."),
        ]
        queries.note_left_out(session, study, {first.sha256: "Others show more."})
        assert [file.state for file in study.files] == [FileState.LEFT_OUT, FileState.READ]
