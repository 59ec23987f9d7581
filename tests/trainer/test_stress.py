"""stress.json: written, read back, and shown in the model card with the weights it was measured with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from trainer import evaluate
from trainer.model_card import write_model_card
from trainer.runtime.bundle import ModelBundle, ModelFolderError, read_manifest
from trainer.stress import StressCount, StressGroup, StressTable

HEADS = StressGroup(
    "healthy T1, many", 30, {"blank": 2, "not_brain": 8}, 18, 4,
    StressCount(9, (0.3, 0.7)), StressCount(6, (0.2, 0.5)), StressCount(0, (0.0, 0.4)),
)  # fmt: skip
ONE_STUDY = StressGroup("glioma, T1", 3, {}, 3, 1, StressCount(2, None), StressCount(1, None), StressCount(0, None))
NONE = StressCount(0, None)
OTHERS = StressGroup("not MR", 3, {"not_mr": 3}, 0, 0, NONE, NONE, NONE)


@pytest.fixture
def table(own_model: Path) -> StressTable:
    bundle = ModelBundle.load(own_model)
    groups = [HEADS, ONE_STUDY, OTHERS]
    return StressTable("tiny-1", bundle.weights_sha256, bundle.calibration_sha256, "openvino", groups)


def test_shares_are_of_the_pictures_that_differ() -> None:
    assert HEADS.cells() == [
        "healthy T1, many", "30", "10", "18", "4", "0.50 (0.30–0.70)", "0.33 (0.20–0.50)", "0.00 (0.00–0.40)",
    ]  # fmt: skip


def test_one_study_has_no_interval() -> None:
    assert ONE_STUDY.cells()[4:] == ["1", "2 of 3", "1 of 3", "0 of 3"]
    assert replace(ONE_STUDY, studies=None).cells()[4] == "not stated"


def test_it_is_read_back(own_model: Path, table: StressTable) -> None:
    table.write(own_model)
    assert StressTable.read(own_model) == table
    first, second, third = json.loads((own_model / "stress.json").read_text())["groups"]
    assert (first["urgent"], first["urgent_share"], first["urgent_ci95"]) == (6, 6 / 18, [0.2, 0.5])
    assert (first["read"], first["refusals"]) == (20, {"blank": 2, "not_brain": 8})
    assert (second["urgent_share"], second["urgent_ci95"]) == (1 / 3, None)
    assert third["review_share"] is third["review_ci95"] is None


def test_a_model_without_one(own_model: Path) -> None:
    assert StressTable.read(own_model) is None


def test_a_broken_one_is_one_sentence(own_model: Path) -> None:
    (own_model / "stress.json").write_text('{"groups": [{}]}')
    with pytest.raises(ModelFolderError, match="is no stress table"):
        StressTable.read(own_model)


def test_the_model_card_shows_it(data: Path, own_model: Path, table: StressTable) -> None:
    assert evaluate.main(["--data", str(data), "--model", str(own_model), "--write"]) == 0
    table.write(own_model)
    write_model_card(own_model)
    card = (own_model / "MODEL_CARD.md").read_text()
    assert "## Other scanners and other pictures" in card
    assert f"| {' | '.join(HEADS.cells())} |" in card
    assert "| not MR | 3 | 3 | 0 | 0 | – | – | – |" in card
    assert "- Of 18 healthy T1 slices 6 are urgent." in card
    assert (
        '- Of 3 slices of gliomas and meningiomas nobody is sent to 2; the largest share of these is of "glioma, T1".'
        in card
    )
    assert "look like an image of Train (perceptual hash, mirror images counted). Of the images" in card.replace(
        "\n  ", " "
    )

    for stale in (replace(table, weights_sha256="0" * 64), replace(table, calibration_sha256="0" * 64)):
        stale.write(own_model)
        write_model_card(own_model)
        card = (own_model / "MODEL_CARD.md").read_text()
        assert "measured with other weights or another calibration" in card
        assert "healthy T1, many" not in card


def test_a_table_from_before_the_calibration_was_noted_is_not_shown(own_model: Path, table: StressTable) -> None:
    found = table.as_json()
    new = {"pictures", "studies"}
    groups = [{name: value for name, value in group.as_json().items() if name not in new} for group in table.groups]
    del found["calibration_sha256"]
    (own_model / "stress.json").write_text(json.dumps(found | {"groups": groups}))
    before = StressTable.read(own_model)
    assert before is not None
    assert not before.is_of(read_manifest(own_model).files)
