"""A real, migrated database with rows as the worker makes them."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy.orm import Session, sessionmaker

from tests.worker.scans import healthy_prediction, tumor_prediction
from trainer.runtime.decision import Calibration
from worker.analysis import conclude
from worker.domain import InstanceHeader, PixelGeometry, SliceFinding, StudyKind
from worker.folders import make_folders
from worker.migrate import migrate
from worker.outbox import report_path
from worker.settings import Settings
from worker.steps.headers import headers_of
from worker.store import queries
from worker.store.models import FileState, ScanFile, Study, StudyState
from worker.store.reports import add_report
from worker.store.session import open_engine, session_factory

LONG_AGO = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUIET = timedelta(seconds=20)


@dataclass
class Database:
    """A TRIAGE_HOME with its database, and the steps of the pipeline as plain row changes."""

    home: Path

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home)
        make_folders(self.settings)
        migrate(self.settings.resolved_database_url)
        self.sessions: sessionmaker[Session] = session_factory(open_engine(self.settings.resolved_database_url))

    def receive(self, name: str, *, study_uid: str | None = None, number: int = 1, at: datetime = LONG_AGO) -> str:
        """A file is read into its study, a picture without `study_uid`; returns the public id of the study."""
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        with self.sessions.begin() as session:
            row = self._file(session, name, sha256, at)
            row.state = FileState.READ
            study = queries.add_instance(
                session, row, [_header(sha256, study_uid, number)], None, at, QUIET, 30 * QUIET
            )
            row.study_id = study.id
            queries.record(session, "received", at, study.id, row.id)
            return study.public_id

    def claim(self, name: str, at: datetime = LONG_AGO) -> None:
        """A file waits for intake."""
        with self.sessions.begin() as session:
            self._file(session, name, None, at)

    def reject(self, name: str, at: datetime = LONG_AGO) -> None:
        """A file was rejected and given back."""
        with self.sessions.begin() as session:
            row = self._file(session, name, hashlib.sha256(name.encode()).hexdigest(), at)
            row.state, row.reason, row.message = FileState.REJECTED, "not_an_image", "It is not a picture."
            queries.record(session, "rejected", at, file_id=row.id)

    def _file(self, session: Session, name: str, sha256: str | None, at: datetime) -> ScanFile:
        claim_id = uuid4().hex
        queries.add_file(session, claim_id, name, 1, at)
        row = session.query(ScanFile).filter_by(claim_id=claim_id).one()
        row.sha256, row.size_bytes = sha256, None if sha256 is None else 1234
        return row

    def analyse(self, public_id: str, *, tumor: bool = False, at: datetime = LONG_AGO) -> None:
        """The study gets its answer."""
        with self.sessions.begin() as session:
            study = self.study(session, public_id)
            prediction = tumor_prediction() if tumor else healthy_prediction()
            analysis = conclude([SliceFinding(header, prediction) for header in headers_of(study)], Calibration())
            ids = {instance.sha256: instance.id for instance in study.instances}
            queries.add_result(session, study, analysis, ids, "test-1", "fake", at)
            study.state, study.priority = StudyState.ANALYSED, analysis.priority
            queries.record(session, "analysed", at, study.id)

    def report(self, public_id: str, at: datetime = LONG_AGO) -> None:
        """The study's PDF is rendered and delivered."""
        with self.sessions.begin() as session:
            study = self.study(session, public_id)
            add_report(session, study, "f" * 64, report_path(public_id, study.revision), None, at)
            study.state, study.reported_at = StudyState.REPORTED, at
            queries.record(session, "reported", at, study.id)

    def fail(self, public_id: str) -> None:
        """The study was given up."""
        with self.sessions.begin() as session:
            study = self.study(session, public_id)
            study.state, study.failure, study.attempts = StudyState.FAILED, "analyse failed in 3 attempts", 4
            study.lease_token, study.lease_until = "gone", LONG_AGO

    def study(self, session: Session, public_id: str) -> Study:
        """The row."""
        study = queries.study_by_public_id(session, public_id)
        assert study is not None
        return study


def _header(sha256: str, study_uid: str | None, number: int) -> InstanceHeader:
    return InstanceHeader(
        kind=StudyKind.DICOM if study_uid else StudyKind.IMAGE,
        sha256=sha256,
        study_uid=study_uid or f"2.25.{int(sha256[:16], 16)}",
        series_uid=f"{study_uid or '2.25.7' + str(int(sha256[:16], 16))}.3",
        sop_uid=f"1.2.3.{int(sha256[:12], 16)}",
        geometry=PixelGeometry(80, 80, (1.0, 1.0), (0.0, 0.0, float(number)), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
        modality="MR" if study_uid else None,
        series_description="T1 axial" if study_uid else None,
        series_number=4 if study_uid else None,
        instance_number=number if study_uid else None,
    )
