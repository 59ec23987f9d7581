"""`TRIAGE_PATIENT_TEXT=off`: what a scan says of its patient is in its own bytes and nowhere else."""

import sqlite3
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

from tests.reports.samples import pdfium_text
from tests.worker.conftest import ClockedServices, services_for
from tests.worker.scans import archive, dicom_bytes, png, slice_dataset
from tests.worker.test_steps import Home
from worker.cli import app
from worker.domain import Acquisition
from worker.folders import make_folders
from worker.outbox import INDEX_NAME
from worker.settings import DATABASE_FILE, Settings
from worker.store.models import FileState, StudyState
from worker.store.pseudonyms import KEY_BYTES, Pseudonyms
from worker.weighting import Weighting, weighting_of

NAME, CHINESE, PATIENT, ACCESSION = "SENTINELNAME", "哨兵病人", "SENTINELID77", "SENTINELACC"
BORN, STUDIED = "19610412", "20260217"
DESCRIPTION, PHYSICIAN, HOSPITAL = "SENTINELDESC", "SENTINELDOC", "SENTINELHOSP"
FILE = "SENTINELFILE"
ROOT = "1.2.840.99887766"
SENTINELS = (
    NAME, CHINESE, PATIENT, ACCESSION, BORN, "1961-04-12", STUDIED, "2026-02-17",
    DESCRIPTION, PHYSICIAN, HOSPITAL, FILE, ROOT,
)  # fmt: skip


def scan(number: int, **changes: object) -> bytes:
    image = slice_dataset(1, number)
    image.SpecificCharacterSet = "ISO_IR 192"
    image.StudyInstanceUID, image.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.1.3"
    image.SOPInstanceUID = f"{ROOT}.1.3.{number}"
    image.PatientName, image.PatientID, image.PatientBirthDate = f"{NAME}^{CHINESE}", PATIENT, BORN
    image.PatientSex, image.PatientAge, image.StudyDate = "F", "064Y", STUDIED
    image.AccessionNumber, image.ReferringPhysicianName, image.InstitutionName = ACCESSION, PHYSICIAN, HOSPITAL
    image.StudyDescription, image.SeriesDescription = f"head {DESCRIPTION}", f"T1 post GAD {DESCRIPTION}"
    image.ImageType = ["ORIGINAL", "PRIMARY", DESCRIPTION]
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return dicom_bytes(image)


@pytest.fixture
def home(services: ClockedServices) -> Home:
    services.settings.patient_text = False
    return Home(services)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Home:
    """A study of three slices, one of them in an archive; one refused; one twice; a picture; something unreadable."""
    settings = Settings(home=tmp_path_factory.mktemp("off") / "home", min_free_bytes=0, patient_text=False)
    make_folders(settings)
    home = Home(services_for(settings, migrated_sqlite))
    home.drop(f"{FILE}/{NAME}.dcm", scan(1))
    home.drop(f"{FILE}.zip", archive({f"{FILE}/{CHINESE}.dcm": scan(2), f"{FILE}.txt": b"SENTINEL"}))
    home.drop(f"stat/{FILE}.dcm", scan(3, PatientID="SENTINELID78"))
    home.drop(f"{FILE} again.dcm", scan(1))
    home.drop(f"{FILE} scout.dcm", scan(4, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    home.drop(f"{FILE}.png", png(1))
    home.drop(f"{CHINESE}.doc", b"no picture")
    home.run_when_quiet()
    return home


def found_in(content: bytes | str) -> list[str]:
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return [sentinel for sentinel in SENTINELS if sentinel.encode() in raw]


def test_everything_is_reported_and_grouped_all_the_same(reported: Home) -> None:
    study = next(study for study in reported.studies() if study.kind == "dicom")
    assert (study.state, len(study.instances)) == (StudyState.REPORTED, 3)
    assert study.patient_id_conflict
    assert study.rank == 0  # one of its files lay in stat/
    states = [row.state for row in reported.files().values()]
    assert states.count(FileState.DUPLICATE) == 1
    assert states.count(FileState.REJECTED) == 3
    assert len(states) == len({row.claim_id for row in reported.files().values()})


def test_nothing_of_it_is_in_the_database(reported: Home) -> None:
    with sqlite3.connect(reported.settings.home / DATABASE_FILE) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert "INSERT INTO" in dump
    assert found_in(dump) == []
    for path in reported.settings.home.glob(f"{DATABASE_FILE}*"):
        assert found_in(path.read_bytes()) == []


def test_nor_on_reports_and_the_worklist(reported: Home) -> None:
    page = (reported.settings.outbox / INDEX_NAME).read_text()
    assert found_in(page) == []
    pdfs = [path.read_bytes() for path in reported.reports.iterdir()]
    assert len(pdfs) == 2
    for pdf in pdfs:
        text = pdfium_text(pdf)
        assert found_in(text) == []
        assert found_in(str(PdfReader(BytesIO(pdf)).metadata)) == []
    assert any("localizer" in pdfium_text(pdf).lower() for pdf in pdfs)  # the refused slice still finds its study


def test_nor_in_what_is_rejected_but_for_its_own_bytes(reported: Home) -> None:
    names = [str(path.relative_to(reported.rejected)) for path in reported.rejected.rglob("*")]
    assert len(names) == 3 * 3
    assert found_in("\n".join(names)) == []
    for reason in reported.rejected.glob("*/reason.txt"):
        assert found_in(reason.read_bytes()) == []
    assert b"no picture" in [path.read_bytes() for path in reported.rejected.glob("*/file-*")]


def test_nor_in_what_commands_print(reported: Home) -> None:
    environment = {"TRIAGE_HOME": str(reported.settings.home), "TRIAGE_PATIENT_TEXT": "off", "COLUMNS": "200"}
    studies = [study.public_id for study in reported.studies()]
    for command in (["worklist"], ["status"], *(["show", study] for study in studies)):
        for options in ([], ["--json"]):
            result = CliRunner().invoke(app, [*command, *options], env=environment)
            assert result.exit_code == 0, result.output
            assert found_in(result.output) == []


def test_a_later_process_groups_with_what_an_earlier_one_wrote(home: Home) -> None:
    home.drop("a.dcm", scan(1))
    home.run_when_quiet()
    later = Home(ClockedServices(home.settings))
    later.services.__dict__.update({name: home.services.__dict__[name] for name in ("predictor", "bundle")})
    later.drop("b.dcm", scan(2))
    later.run_when_quiet()
    study = later.study()
    assert (study.revision, len(study.instances), study.patient_id_conflict) == (2, 2, False)


def test_the_key_is_private_and_without_it_nothing_is_written(home: Home, tmp_path: Path) -> None:
    home.drop("a.dcm", scan(1))
    key = home.settings.pseudonym_key
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, KEY_BYTES)
    key.write_bytes(b"")
    with pytest.raises(OSError, match="damaged"):
        Pseudonyms.of_key_file(key)
    assert Pseudonyms.of_key_file(tmp_path / "other").uid(ROOT) != Pseudonyms.of_key_file(tmp_path / "third").uid(ROOT)
    assert "key" not in repr(Pseudonyms(b"key"))


def test_the_description_keeps_what_the_choice_of_series_needs(reported: Home) -> None:
    (instance, *_) = next(study for study in reported.studies() if study.kind == "dicom").instances
    description = instance.series.description
    assert description == "T1 POST GAD"
    with_all = f"T1 post GAD {DESCRIPTION}"
    assert weighting_of_words(description) is weighting_of_words(with_all) is Weighting.T1_CONTRAST


def weighting_of_words(description: str) -> Weighting:
    return weighting_of(Acquisition(), description)


def test_by_default_text_is_kept(services: ClockedServices) -> None:
    home = Home(services)
    home.drop(f"{FILE}.dcm", scan(1))
    home.run_when_quiet()
    assert home.study().patient_id == PATIENT
    assert not home.settings.pseudonym_key.exists()
    (report,) = home.reports.iterdir()
    assert NAME in pdfium_text(report.read_bytes())
