"""`python -m benchmarks.ablations` trains a row for each ingredient left out, and measures all alike."""

import json
from pathlib import Path

import pytest

from benchmarks import ablations
from trainer.recipes import INGREDIENTS

SMALL = ("--scratch", "--limit", "16", "--size", "64", "--epochs", "8")


@pytest.fixture(autouse=True)
def two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "LEFT_OUT", ((), ("counterfactuals", "growing")))


def test_every_row_leaves_out_what_there_is() -> None:
    assert {name for without in ablations.LEFT_OUT for name in without} <= set(INGREDIENTS)


def test_rows_are_trained_measured_and_gone_on_with(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(data), "--out", str(tmp_path), *SMALL]
    assert ablations.main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "ablations.json").read_text())
    assert found["protocol"] == {"limit": 16, "size": 64, "epochs": 8, "seed": 1}
    assert [each["without"] for each in found["ablations"]] == [[], ["counterfactuals", "growing"]]
    for each in found["ablations"]:
        recipe_of = "all" if not each["without"] else "without-counterfactuals-growing"
        recipe = json.loads((tmp_path / recipe_of / "recipe.json").read_text())
        assert (recipe["counterfactual_share"] == 0) == bool(each["without"])
        tested = json.loads((tmp_path / recipe_of / "test.json").read_text())
        assert each["accuracy"] == tested["test_accuracy"]
        assert all(0 <= each[name]["best_box"] <= 1 for name in ("val", "other_looks"))
    weights = (tmp_path / "all" / "model.safetensors").stat().st_mtime_ns
    assert ablations.main(command) == 0
    assert "counterfactuals, growing" in capsys.readouterr().out
    assert (tmp_path / "all" / "model.safetensors").stat().st_mtime_ns == weights


def test_a_training_that_cannot_be_is_one_sentence(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablations.main(["--data", str(data), "--out", str(tmp_path), "--scratch", "--size", "33"]) == 2
    assert "the training did not end well" in capsys.readouterr().err
