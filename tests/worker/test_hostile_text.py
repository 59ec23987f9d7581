"""Markup, escapes and controls in every element of text that is read, followed to the places where people meet it."""

import ast
import json
import logging
import unicodedata
from dataclasses import dataclass
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from pydicom import config, dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, tag_for_keyword
from typer.testing import CliRunner

import worker.intake
from tests.reports.active import active_content
from tests.reports.samples import pdfium_text
from tests.worker.conftest import ClockedServices, services_for
from tests.worker.scans import FakePredictor, archive, dicom_bytes, slice_dataset
from tests.worker.test_steps import Home
from worker.cli import app
from worker.folders import make_folders
from worker.intake.elements import quiet_pydicom
from worker.outbox import INDEX_NAME
from worker.settings import Settings
from worker.store.models import FileState

SCRIPT = "<script>alert(1)</script>"
ESCAPES = "\x1b[2J\x1b]0;own\x07\x9b31m"
HOSTILE = f'"{SCRIPT}&amp;<img src=x onerror=alert(1)>\u202egpj.exe\u2066\r\nERROR forged\x00{ESCAPES}'
TEXT = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
FILE_META_END = 0x0002FFFF
SAFE_TO_FILL = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
"""Representations of free text; in others a rule refuses what is no term."""


def elements_read() -> list[str]:
    """Keywords of all elements whose text the program reads: those that stand in its own source."""
    words = {
        node.value
        for path in Path(worker.intake.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    keywords = {word for word in words if (tag_for_keyword(word) or 0) > FILE_META_END}
    return sorted(keyword for keyword in keywords if dictionary_VR(keyword) in TEXT)


ELEMENTS = elements_read()


def hostile(study: int, number: int, *keywords: str, text: str = HOSTILE) -> bytes:
    """A slice with such text in these elements; other VRs than free text know Latin-1 alone."""
    image = slice_dataset(study, number)
    image.SpecificCharacterSet = "ISO_IR 192"
    with pytest.MonkeyPatch.context() as patch, quiet_pydicom():
        patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
        for keyword in keywords:
            is_free = dictionary_VR(keyword) in SAFE_TO_FILL
            setattr(image, keyword, text if is_free else text.encode("latin-1", "ignore").decode("latin-1"))
        return dicom_bytes(image)


def free_text() -> list[str]:
    return [keyword for keyword in ELEMENTS if dictionary_VR(keyword) in SAFE_TO_FILL]


def test_the_list_is_that_of_the_program() -> None:
    assert {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "StudyDescription",
            "SeriesDescription", "ProtocolName", "BodyPartExamined", "Modality", "ImageType", "ContrastBolusAgent",
            "StudyInstanceUID", "SOPClassUID"} <= set(ELEMENTS)  # fmt: skip
    assert {"PatientName", "StudyDescription", "SeriesDescription"} <= set(free_text())


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass
class Told:
    """What came of everything hostile, and what was logged meanwhile."""

    home: Home
    log: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Told:
    """A home where each element was hostile once, all of free text at once, and names of files and of members too."""
    settings = Settings(home=tmp_path_factory.mktemp("hostile") / "home", min_free_bytes=0)
    make_folders(settings)
    home = Home(services_for(settings, migrated_sqlite))
    name = HOSTILE.replace("\x00", "").replace("/", "|")
    for number, keyword in enumerate(ELEMENTS, start=1):
        home.drop(f"{number} {name}.dcm", hostile(100 + number, 1, keyword))
    home.drop(f"{name}/all.dcm", hostile(99, 1, *free_text()))
    home.drop("long.dcm", hostile(98, 1, *free_text(), text=f"{SCRIPT}{'x' * 5000}"))
    home.drop("members.zip", archive({f"{name}.dcm": hostile(97, 1, "PatientName"), f"{name}.txt": b"text"}))
    home.drop(f"{name}.doc", name.encode())
    log = StringIO()
    handler, root = logging.StreamHandler(log), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        home.run_when_quiet()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    return Told(home, log.getvalue())


def controls(text: str, *, allowed: str = "\n") -> set[str]:
    """Characters that do something instead of showing something."""
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - set(allowed)


def test_a_report_shows_it_as_text(told: Told) -> None:
    pdfs = [path.read_bytes() for path in told.home.reports.iterdir()]
    assert len(pdfs) > len(free_text())
    for pdf in pdfs:
        assert active_content(pdf) == set()
    texts = [pdfium_text(pdf) for pdf in pdfs]
    shown = [text for text in texts if SCRIPT in text]
    assert len(shown) >= len([word for word in free_text() if word in {"PatientName", "StudyDescription"}])
    for text in texts:
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert "\x00" not in text


def test_the_worklist_shows_it_as_text(told: Told) -> None:
    page = Page((told.home.settings.outbox / INDEX_NAME).read_text())
    assert SCRIPT in page.text
    assert page.elements.count("script") == 1
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    links = [value for name, value in page.attributes if name in {"href", "src"}]
    assert links
    assert [link for link in links if not link.startswith(("reports/", "data:image/jpeg;base64,"))] == []
    (policy,) = [value for _, value in page.attributes if "default-src" in value]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert controls(page.text) == set()


def test_terminals_and_scripts_get_it_harmless(told: Told) -> None:
    environment = {"TRIAGE_HOME": str(told.home.settings.home), "COLUMNS": "250"}
    (study,) = [study.public_id for study in told.home.studies() if study.study_uid == "1.2.99"]
    for command in (["worklist"], ["status"], ["show", study]):
        table = CliRunner().invoke(app, command, env=environment)
        record = CliRunner().invoke(app, [*command, "--json"], env=environment)
        assert (table.exit_code, record.exit_code) == (0, 0)
        assert controls(table.output) == set()
        assert controls(record.output) == set()
        assert record.output.isascii()
        json.loads(record.output)
    assert SCRIPT in json.loads(record.output)["series"][0]["description"]


def test_predict_too(tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE.replace("\x00", "").replace("/", "|")  # the table names the folder of a study
    folder.mkdir()
    (folder / "a.dcm").write_bytes(hostile(99, 1, *free_text()))

    def predictor(_: object) -> FakePredictor:
        return FakePredictor()

    for options in ([], ["--json"]):
        found = CliRunner().invoke(app, ["predict", *options, str(folder)], obj=predictor, env={"COLUMNS": "1000"})
        assert found.exit_code == 0, found.output
        assert controls(found.output) == set()
        assert "<script>" in found.output, found.output


def test_rejected_files_get_names_that_do_nothing(told: Told) -> None:
    rejected = [row for row in told.home.files().values() if row.state == FileState.REJECTED]
    assert len(rejected) > 3
    names = [path.name for path in told.home.rejected.rglob("*")]
    assert controls("".join(names), allowed="") == set()
    assert all((told.home.rejected / f"{row.id:08d}" / "reason.txt").is_file() for row in rejected)
    reasons = "".join(path.read_text() for path in told.home.rejected.glob("*/reason.txt"))
    assert controls(reasons) == set()
    assert "script" not in reasons


def test_nothing_of_it_is_logged(told: Told) -> None:
    assert "reported" in told.log
    for trace in ("script", "forged", "onerror", "\x1b", "\u202e"):
        assert trace not in told.log


def test_a_file_set_is_refused_and_not_followed(services: ClockedServices, tmp_path: Path) -> None:
    """The directory that comes with pydicom, beside files of the names that it lists, in the inbox and around it."""
    home = Home(services)
    directory = Path(str(get_testdata_file("DICOMDIR", download=False)))
    record = next(item for item in dcmread(directory).DirectoryRecordSequence if "ReferencedFileID" in item)
    listed = "/".join(record.ReferencedFileID)
    for folder in (tmp_path, home.settings.home, home.settings.home / "store"):
        path = folder / listed
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(hostile(1, 1))
    home.drop("DICOMDIR", directory.read_bytes())
    home.run_when_quiet()
    (row,) = home.files().values()
    assert (row.state, row.reason) == (FileState.REJECTED, "not_an_image")
    assert home.studies() == []
    assert (tmp_path / listed).is_file()


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("uid", ["../../x", "/etc/passwd", "1.2/../../x", "..", "1.2\x00.3", "1.2.3\\..\\x"])
def test_a_uid_is_never_a_path(services: ClockedServices, keyword: str, uid: str) -> None:
    home = Home(services)
    before = {path for path in home.settings.home.parent.rglob("*") if not path.is_relative_to(home.settings.home)}
    home.drop("a.dcm", hostile(1, 1, keyword, text=uid))
    home.run_when_quiet()
    (row,) = home.files().values()
    assert (row.state, row.reason) == (FileState.REJECTED, "bad_uid")
    after = {path for path in home.settings.home.parent.rglob("*") if not path.is_relative_to(home.settings.home)}
    assert after == before
