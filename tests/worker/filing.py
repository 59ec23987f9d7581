"""Short ways to put rows into a database."""

import hashlib
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.worker.conftest import NOON
from worker.domain import InstanceHeader, PatientText, PixelGeometry, StudyKind
from worker.store import queries
from worker.store.models import FileState, ScanFile, Study

QUIET = timedelta(seconds=20)
QUIET_MAX = timedelta(seconds=600)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def add_file(session: Session, name: str = "scan.jpg", at: datetime = NOON, rank: int = 1) -> ScanFile:
    """A file that waits for intake."""
    claim_id = uuid4().hex
    queries.add_file(session, claim_id, name, rank, at)
    return session.scalars(select(ScanFile).where(ScanFile.claim_id == claim_id)).one()


def header(number: int = 1, study_uid: str | None = "1.2.3", **changes: object) -> InstanceHeader:
    """The header of one slice, at `number` millimetres; of a plain picture without `study_uid`."""
    sha256 = hashlib.sha256(f"{study_uid} {number}".encode()).hexdigest()
    picture_uid = f"2.25.{int(sha256[:16], 16)}"
    values: dict[str, object] = {
        "kind": StudyKind.DICOM if study_uid else StudyKind.IMAGE,
        "sha256": sha256,
        "study_uid": study_uid or picture_uid,
        "series_uid": f"{study_uid or picture_uid}.9",
        "sop_uid": f"1.2.4.{number}",
        "geometry": PixelGeometry(80, 90, (0.5, 0.25), (0.0, 0.0, float(number)), AXIAL),
        "series_number": 4 if study_uid else None,
        "series_description": "T1 axial" if study_uid else None,
        "modality": "MR" if study_uid else None,
        "instance_number": number if study_uid else None,
        "patient": PatientText(patient_name="Test^Anna") if study_uid else PatientText(),
    }
    return InstanceHeader(**values | changes)


def receive(session: Session, head: InstanceHeader, at: datetime = NOON, rank: int = 1) -> Study:
    """A file arrives and is read into its study."""
    file = add_file(session, f"{head.sop_uid}.dcm", at, rank)
    file.state, file.sha256 = FileState.READ, head.sha256
    study = queries.add_instance(session, file, [head], None, at, QUIET, QUIET_MAX)
    file.study_id = study.id
    session.flush()
    return study
