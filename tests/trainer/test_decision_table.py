"""`python -m benchmarks.decision_table` ranks by each opinion, on models and runs, on Val and on other pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import decision_table
from benchmarks.decision_table import pictures_of_other_hospitals
from trainer.runtime.bundle import file_sha256

HEADER = "set,file,label,detail\n"
LINES = (
    "a,1.png,Glioma,Astrocytoma T1C+", "a,2.png,No Tumor,NORMAL T1", "a,3.png,No Tumor,NORMAL T2",
    "a,4.png,Meningioma,Meningioma T2", "a,5.png,Tumor,Papiloma T1C+",
)  # fmt: skip


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five pictures of which one has no class of the model."""
    (tmp_path / "a").mkdir()
    for number in range(1, 6):
        noise = np.random.default_rng(number).integers(0, 255, (96, 96), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "a" / f"{number}.png")
    (tmp_path / "manifest.csv").write_text(HEADER + "\n".join(LINES) + "\n")
    return tmp_path


def test_sequences_are_compared_within_themselves(pictures: Path) -> None:
    found = {each.name: each.tumor.tolist() for each in pictures_of_other_hospitals(pictures)}
    assert found == {
        "other hospitals": [True, False, False, True],
        "other hospitals, T1": [False],
        "other hospitals, T1 with contrast, healthy T1": [True, False],
        "other hospitals, T2": [False, True],
    }


def test_models_and_runs_side_by_side(
    model_folder: Path, run_folder: Path, data: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(model_folder), str(run_folder), "--data", str(data), "--images", str(pictures), "--json"]
    assert decision_table.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    rows, sums = found["rows"], found["sums"]
    assert sums[str(model_folder)] == {
        name: file_sha256(model_folder / name) for name in ("model.safetensors", "calibration.json")
    }
    assert [row["model"] for row in rows] == [str(model_folder)] * (len(rows) // 2) + [str(run_folder)] * (
        len(rows) // 2
    )
    plain = next(row for row in rows if row["pictures"] == "Val, as they are")
    assert (plain["tumors"], plain["others"]) == (12, 4)
    assert all(
        0 <= plain[opinion] <= 1
        for opinion in ("classifier", "best_box_of_a_kind", "best_box", "answer", "tumors_left")
    )
    alone = next(row for row in rows if row["pictures"] == "other hospitals, T1")
    assert (alone["others"], alone["answer"]) == (1, None)
    # the same weights under another engine rank alike, and without a calibration there is no answer
    of_run = next(row for row in rows[len(rows) // 2 :] if row["pictures"] == "Val, as they are")
    assert (of_run["answer"], of_run["tumors_left"]) == (None, None)
    assert of_run["classifier"] == pytest.approx(plain["classifier"], abs=0.03)


def test_the_table_for_people(model_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decision_table.main([str(model_folder), "--data", str(data)]) == 0
    assert "Val, skull-stripped" in capsys.readouterr().out


def test_what_cannot_be_measured_is_one_sentence(
    tmp_path: Path, data: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decision_table.main([str(tmp_path), "--data", str(data)]) == 2
    assert "is no finished run" in capsys.readouterr().err
    assert decision_table.main([str(model_folder), "--data", str(data), "--images", str(tmp_path)]) == 2
    assert "holds no manifest.csv" in capsys.readouterr().err
