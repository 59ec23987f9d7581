"""DICOM studies as scanners and networks send them, through a real worker: late, cut, doubled, mixed and packed."""

import random

import pytest
from pydicom import Dataset
from pypdf import PdfReader
from sqlalchemy import select

from tests.system.deployment import Deployment, wait_until
from tests.system.slices import slice_bytes, source_slices
from tests.worker.scans import archive
from worker.domain import ReviewReason
from worker.store import queries
from worker.store.models import Event, FileState, ScanFile, Study, StudyState

QUIET = {"TRIAGE_QUIET_SECONDS": "5"}
"""Longer than a busy machine needs for a slice, so that no study is read while it still arrives."""
NEVER_QUIET = {"TRIAGE_QUIET_SECONDS": "3000", "TRIAGE_QUIET_MAX_SECONDS": "3000"}
SLICES = 12
TWIN, CUT, LATE = 4, 7, 9
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def sources() -> list[Dataset]:
    return source_slices()


def studies(deployment: Deployment) -> dict[str, Study]:
    """All studies with everything that hangs on them, by StudyInstanceUID."""
    with deployment.sessions.begin() as session:
        found = queries.whole_studies(session, session.scalars(select(Study.id)).all())
    return {study.study_uid: study for study in found}


def files(deployment: Deployment) -> dict[str, ScanFile]:
    with deployment.sessions.begin() as session:
        return {row.original_name: row for row in session.scalars(select(ScanFile))}


def events(deployment: Deployment, study: Study) -> list[str]:
    """What happened to a study, oldest first."""
    with deployment.sessions.begin() as session:
        return list(session.scalars(select(Event.kind).where(Event.study_id == study.id).order_by(Event.id)))


def report_text(deployment: Deployment, study: Study, revision: int) -> str:
    path = deployment.settings.outbox / "reports" / f"{study.public_id}-r{revision}.pdf"
    return " ".join(" ".join(page.extract_text() for page in PdfReader(path).pages).split())


def page_says(deployment: Deployment, text: str) -> None:
    """Wait until the worklist page does: it is written a moment after the report."""
    page = deployment.settings.outbox / "index.html"
    wait_until(lambda: text in " ".join(page.read_text().split()), PATIENCE_SECONDS, text, page.read_text)


@pytest.mark.parametrize("kind", ["embedded", pytest.param("scaled_out", marks=pytest.mark.long)])
def test_a_study_slice_by_slice_with_one_late_one_cut_and_one_doubled(
    kind: str, request: pytest.FixtureRequest, sources: list[Dataset]
) -> None:
    deployment: Deployment = request.getfixturevalue(kind)
    deployment.environment |= QUIET
    content = {f"{number}.dcm": slice_bytes(sources, 1, number) for number in range(1, SLICES + 1)}
    late = content.pop(f"{LATE}.dcm")
    cut = content[f"{CUT}.dcm"] = content[f"{CUT}.dcm"][:-1000]
    content["doubled.dcm"] = content["2.dcm"]
    content["twin.dcm"] = slice_bytes(sources, 1, TWIN, rolled=3)
    arrival = list(content)
    random.Random(6).shuffle(arrival)

    deployment.start()
    for name in arrival:
        deployment.drop(name, content[name])
    deployment.wait_until_done(len(content))
    (study,) = studies(deployment).values()
    assert (study.state, study.revision, study.incomplete) == (StudyState.REPORTED, 1, True)
    assert deployment.reports() == [f"{study.public_id}-r1.pdf"]
    text = report_text(deployment, study, 1)
    assert f"instance numbers {CUT}, {LATE} are not among the images that could be read" in text
    assert queries.SAME_SOP_UID in text

    outcome = {name: (row.state, row.reason) for name, row in files(deployment).items()}
    assert {outcome.pop("2.dcm")[0], outcome.pop("doubled.dcm")[0]} == {FileState.READ, FileState.DUPLICATE}
    assert outcome.pop(f"{CUT}.dcm") == (FileState.REJECTED, "truncated")
    assert set(outcome.values()) == {(FileState.READ, None)}
    (rejected,) = (deployment.settings.outbox / "rejected").iterdir()
    assert (rejected / f"{CUT}.dcm").read_bytes() == cut
    assert (rejected / "reason.txt").read_text().startswith("truncated: ")

    deployment.drop("late.dcm", late)
    wait_until(lambda: len(deployment.reports()) == 2, PATIENCE_SECONDS, "revision 2", deployment.logs)
    deployment.wait_until_done(len(content) + 1)
    (study,) = studies(deployment).values()
    assert (study.state, study.revision, study.incomplete) == (StudyState.REPORTED, 2, True)
    assert deployment.reports() == [f"{study.public_id}-r{revision}.pdf" for revision in (1, 2)]
    assert [result.revision for result in study.results] == [1, 2]
    text = report_text(deployment, study, 2)
    assert "supersedes revision 1" in text
    assert f"instance numbers {CUT} are not among the images that could be read" in text
    page_says(deployment, "supersedes revision 1")

    # one slice fewer was received for each of: cut, late; the twin is one more, the copy none
    received = ["received"] * (SLICES - 2 + 1)
    happened = events(deployment, study)
    assert sorted(happened[: len(received) + 1]) == ["duplicate", *received]
    assert happened[len(received) + 1 :] == [
        "analysed", "rendered", "reported", "revision_opened", "received", "analysed", "rendered", "reported",
    ]  # fmt: skip


def test_files_of_several_patients_in_one_drop(embedded: Deployment, sources: list[Dataset]) -> None:
    """Two studies of two patients, a third one that names two itself: nothing is mixed up."""
    embedded.environment |= QUIET
    patients = {1: ["A"] * 3, 2: ["B"] * 3, 3: ["C", "C", "D"]}
    content = {
        f"IM{number}/{study}": slice_bytes(sources, study, number, PatientID=name, PatientName=f"{name}^Test")
        for study, names in patients.items()
        for number, name in enumerate(names, start=1)
    }
    arrival = list(content)
    random.Random(6).shuffle(arrival)
    embedded.start()
    for name in arrival:
        embedded.drop(name, content[name])
    embedded.wait_until_done(len(content))
    found = studies(embedded)
    assert [len(study.instances) for study in found.values()] == [3, 3, 3]
    assert len(embedded.reports()) == 3
    for uid, patient, other in (("2.25.1", "A", "B"), ("2.25.2", "B", "A")):
        study = found[uid]
        assert (study.patient_id, study.patient_id_conflict) == (patient, False)
        text = report_text(embedded, study, 1)
        assert f"{patient}^Test" in text
        assert f"{other}^Test" not in text
        assert ReviewReason.PATIENT_ID_CONFLICT not in study.results[-1].review_reasons
    of_two = found["2.25.3"]
    assert of_two.patient_id_conflict
    assert ReviewReason.PATIENT_ID_CONFLICT in of_two.results[-1].review_reasons
    assert of_two.priority in {"review", "urgent"}


def test_a_zip_is_complete_at_once(embedded: Deployment, sources: list[Dataset]) -> None:
    """And again when it comes a second time with one more slice: only that one is new."""
    embedded.environment |= NEVER_QUIET
    packed = {f"DICOM/{number:03d}": slice_bytes(sources, 1, number) for number in range(1, 6)}
    more = packed | {"DICOM/006": slice_bytes(sources, 1, 6)}
    embedded.start()
    embedded.drop("loose.dcm", slice_bytes(sources, 2, 1))
    embedded.drop("study.zip", archive(packed))
    wait_until(lambda: len(embedded.reports()) == 1, PATIENCE_SECONDS, "the report", embedded.logs)
    embedded.drop("again.zip", archive(dict(reversed(more.items()))))
    wait_until(lambda: len(embedded.reports()) == 2, PATIENCE_SECONDS, "revision 2", embedded.logs)
    found = studies(embedded)
    assert found["2.25.2"].state == StudyState.COLLECTING, "nobody said that it was complete"
    study = found["2.25.1"]
    assert embedded.reports() == [f"{study.public_id}-r{revision}.pdf" for revision in (1, 2)]
    assert (study.revision, study.incomplete, len(study.instances)) == (2, False, 6)
    again = [row.state for name, row in files(embedded).items() if name.startswith("again.zip/")]
    assert sorted(again) == [FileState.DUPLICATE] * 5 + [FileState.READ]
