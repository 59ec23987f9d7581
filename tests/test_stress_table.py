"""`python -m benchmarks.stress_table`: which files make a row, and what is counted of them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import stress_table
from tests.worker.scans import FakePredictor, dicom, write
from trainer.runtime.decision import Calibration
from trainer.stress import StressGroup

HEADER = "file,exercises\n"
BRIGHT, DARK = 140, 40


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Slices of one study in a folder of heads, something else, and a manifest that leaves one file out."""
    files = {
        "series-t1-axial/1.dcm": dicom(1, 1, BRIGHT),
        "series-t1-axial/2.dcm": dicom(1, 2, DARK),
        "series-t1-axial/3.dcm": dicom(1, 3, DARK),
        "transfer-syntax/shoulder.dcm": dicom(2, 1, BRIGHT),
        "transfer-syntax/ct.dcm": dicom(3, 1, DARK, modality="CT"),
        "unheard-of/x.dcm": b"no image",
        "not-listed.dcm": dicom(4, 1),
    }
    write(tmp_path, files)
    words = {"transfer-syntax/shoulder.dcm": "MR shoulder, one frame"}
    rows = [f'{name},"{words.get(name, "")}"\n' for name in files if name != "not-listed.dcm"]
    (tmp_path / "MANIFEST.csv").write_text(HEADER + "".join(rows))
    return tmp_path


@pytest.fixture
def predictor() -> FakePredictor:
    bundle = SimpleNamespace(version="test-1", calibration=Calibration(), weights_sha256="0" * 64)
    return FakePredictor(bundle=bundle)


def test_every_slice_is_a_study_of_its_own(pictures: Path, predictor: FakePredictor) -> None:
    table = stress_table.measure(predictor, pictures)  # type: ignore[arg-type]
    assert (table.model, table.weights_sha256, table.engine) == ("test-1", "0" * 64, "fake")
    assert table.groups == [
        StressGroup("healthy T1, axial", 3, {}, called_tumour=1, urgent=1, review=0),
        StressGroup("MR, not a brain: shoulder, abdomen, fruit, sphere", 1, {}, called_tumour=1, urgent=1, review=0),
        StressGroup("not MR", 1, {"not_mr": 1}, called_tumour=0, urgent=0, review=0),
        StressGroup("everything else", 1, {"not_an_image": 1}, called_tumour=0, urgent=0, review=0),
    ]


def test_the_table_for_people(pictures: Path, predictor: FakePredictor, capsys: pytest.CaptureFixture[str]) -> None:
    stress_table.print_table(stress_table.measure(predictor, pictures))  # type: ignore[arg-type]
    (row,) = [row for row in capsys.readouterr().out.splitlines() if "healthy T1, axial" in row]
    assert [cell.strip() for cell in row.strip("│").split("│")[1:5]] == ["3", "0", "3", "0.33 (0.06-0.79)"]


def test_every_shared_folder_has_a_row_of_its_own() -> None:
    manifest = Path(__file__).resolve().parents[2] / "shared" / "dicom" / "MANIFEST.csv"
    if not manifest.is_file():
        pytest.skip("the shared pictures are not here")
    assert stress_table.ELSE not in stress_table.read_manifest(manifest.parent)


@pytest.mark.parametrize(("manifest", "complaint"), [(None, "holds no MANIFEST.csv"), ("a,b\n1,2\n", "no columns")])
def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, manifest: str | None, complaint: str) -> None:
    if manifest is not None:
        (tmp_path / "MANIFEST.csv").write_text(manifest)
    with pytest.raises(stress_table.StressDataError, match=complaint):
        stress_table.read_manifest(tmp_path)


def test_a_missing_model_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stress_table.main(["--dicom", str(tmp_path), "--model", str(tmp_path)]) == 2
    assert "is no model folder: model.json is missing" in capsys.readouterr().err
