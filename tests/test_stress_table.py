"""`python -m benchmarks.stress_table`: which files make a row, what is counted of them, and how sure the shares are."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import stress_table
from tests.worker.scans import FakePredictor, dicom, png, write
from trainer.intervals import wilson_interval
from trainer.runtime.decision import Calibration
from trainer.stress import StressCount, StressGroup, StressTable

HEADER = "file,exercises\n"
IMAGE_HEADER = "set,file,label,detail\n"
BRIGHT, DARK = 140, 40


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Slices of one study in a folder of heads, something else, and a manifest that leaves one file out."""
    files = {
        "series-t1-axial/1.dcm": dicom(1, 1, BRIGHT),
        "series-t1-axial/2.dcm": dicom(1, 2, DARK),
        "series-t1-axial/3.dcm": dicom(1, 3, DARK),
        "series-t1-axial/again.dcm": dicom(1, 3, DARK),
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
    bundle = SimpleNamespace(
        version="test-1", calibration=Calibration(), weights_sha256="0" * 64, calibration_sha256="1" * 64
    )
    return FakePredictor(bundle=bundle)


def measured(predictor: FakePredictor, folder: Path) -> StressTable:
    return stress_table.measure(predictor, stress_table.read_dicom_manifest(folder))  # type: ignore[arg-type]


def counts(*pictures: int) -> list[StressCount]:
    """Of one study: no intervals."""
    return [StressCount(number, None) for number in pictures]


def test_every_slice_is_a_study_of_its_own_and_the_same_pixels_count_once(
    pictures: Path, predictor: FakePredictor
) -> None:
    table = measured(predictor, pictures)
    assert (table.model, table.engine) == ("test-1", "fake")
    assert (table.weights_sha256, table.calibration_sha256) == ("0" * 64, "1" * 64)
    assert table.groups == [
        StressGroup("healthy T1, axial, 10 slices of a scan", 4, {}, 3, 1, *counts(1, 1, 0)),
        StressGroup("MR, not a brain: shoulder, abdomen, fruit, sphere", 1, {}, 1, 1, *counts(1, 1, 0)),
        StressGroup("not MR", 1, {"not_mr": 1}, 0, 0, *counts(0, 0, 0)),
        StressGroup("everything else", 1, {"not_an_image": 1}, 0, 0, *counts(0, 0, 0)),
    ]


def test_intervals_count_studies(tmp_path: Path, predictor: FakePredictor) -> None:
    """Three studies of two slices each, answered alike: as sure as three pictures, not as six."""
    levels = {1: BRIGHT, 2: BRIGHT, 3: DARK}
    files = {f"mr-not-brain/{study}{n}.dcm": dicom(study, n, level) for study, level in levels.items() for n in (1, 2)}
    write(tmp_path, files)
    (tmp_path / "MANIFEST.csv").write_text(HEADER + "".join(f"{name},\n" for name in files))
    (group,) = measured(predictor, tmp_path).groups
    assert (group.pictures, group.studies, group.called_tumour.pictures) == (6, 3, 4)
    assert group.called_tumour.ci95 is not None
    low, high = group.called_tumour.ci95
    plain = wilson_interval(4, 6)
    assert low < plain[0]
    assert high > plain[1]


def test_the_table_for_people(pictures: Path, predictor: FakePredictor, capsys: pytest.CaptureFixture[str]) -> None:
    stress_table.print_table(measured(predictor, pictures))
    (row,) = [row for row in capsys.readouterr().out.splitlines() if "healthy T1, axial" in row]
    assert [cell.strip() for cell in row.strip("│").split("│")[1:6]] == ["4", "0", "3", "1", "1 of 3"]


class TestImages:
    rows = (
        ("a", "1.png", "No Tumor", "NORMAL T2", DARK),
        ("a", "2.png", "No Tumor", "NORMAL T2", BRIGHT),
        ("a", "3.png", "Glioma", "Astrocitoma T1C+", BRIGHT),
        ("a", "4.png", "Glioma", "Ependimoma T1C+", BRIGHT),
        ("b", "5.png", "Tumor", "Meduloblastoma T1C+", DARK),
    )

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        write(
            tmp_path, {f"{part}/{name}": png(seed, level) for seed, (part, name, _, _, level) in enumerate(self.rows)}
        )
        lines = [",".join(row[:4]) + "\n" for row in reversed(self.rows)]
        (tmp_path / "manifest.csv").write_text(IMAGE_HEADER + "".join(lines))
        return tmp_path

    def test_a_row_for_every_kind_and_sequence(self, images: Path, predictor: FakePredictor) -> None:
        kinds = stress_table.read_image_manifest(images)
        table = stress_table.measure(predictor, kinds)  # type: ignore[arg-type]
        assert [(group.name, group.pictures, group.studies) for group in table.groups] == [
            ("healthy, several cases, T2", 2, None),
            ("glioma, T1 with contrast", 2, None),
            ("medulloblastoma (no class of the model), T1 with contrast", 1, None),
        ]
        healthy, glioma, other = table.groups
        assert healthy.called_tumour == StressCount(1, wilson_interval(1, 2))
        assert glioma.called_tumour == StressCount(2, wilson_interval(2, 2))
        assert other.called_tumour == StressCount(0, wilson_interval(0, 1))

    def test_a_folder_that_cannot_be_used_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(stress_table.StressDataError, match=r"holds no manifest\.csv"):
            stress_table.read_image_manifest(tmp_path)
        (tmp_path / "manifest.csv").write_text(HEADER + "x,y\n")
        with pytest.raises(stress_table.StressDataError, match="has no column 'label'"):
            stress_table.read_image_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("series-flair-philips-lesion/IM-0001-0009.dcm", "one patient, FLAIR: lesion in view"),
        ("series-flair-philips-lesion/IM-0001-0020.dcm", "the same, FLAIR: no lesion in view"),
        ("series-flair-philips-lesion/IM-0001-0014.dcm", "the same, FLAIR: not clear which"),
        ("series-t1-philips-lesion/IM-0001-0011.dcm", "the same, T2 and T1: lesion in view"),
        ("series-t2-philips-lesion/IM-0001-0020.dcm", "the same, T2 and T1: no lesion in view"),
    ],
)
def test_slices_with_and_without_the_lesion_are_told_apart(tmp_path: Path, name: str, row: str) -> None:
    (tmp_path / "MANIFEST.csv").write_text(f"{HEADER}{name},\n")
    assert stress_table.read_dicom_manifest(tmp_path) == {row: [tmp_path / name]}


def test_every_shared_folder_has_a_row_of_its_own() -> None:
    manifest = Path(__file__).resolve().parents[2] / "shared" / "dicom" / "MANIFEST.csv"
    if not manifest.is_file():
        pytest.skip("the shared pictures are not here")
    assert stress_table.ELSE not in stress_table.read_dicom_manifest(manifest.parent)


@pytest.mark.parametrize(
    ("manifest", "complaint"), [(None, "holds no MANIFEST.csv"), ("a,b\n1,2\n", "has no column 'file'")]
)
def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, manifest: str | None, complaint: str) -> None:
    if manifest is not None:
        (tmp_path / "MANIFEST.csv").write_text(manifest)
    with pytest.raises(stress_table.StressDataError, match=complaint):
        stress_table.read_dicom_manifest(tmp_path)


def test_a_missing_model_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stress_table.main(["--dicom", str(tmp_path), "--model", str(tmp_path)]) == 2
    assert "is no model folder: model.json is missing" in capsys.readouterr().err


def test_no_folder_is_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        stress_table.main([])
    assert "name at least one folder" in capsys.readouterr().err
