"""stress.json: written, read back, and shown in the model card with the weights it was measured with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from trainer import evaluate
from trainer.model_card import write_model_card
from trainer.runtime.bundle import ModelBundle, ModelFolderError
from trainer.scores import wilson_interval
from trainer.stress import StressGroup, StressTable

HEADS = StressGroup("healthy heads", 30, {"blank": 2, "not_brain": 8}, called_tumour=5, urgent=6, review=4)
OTHERS = StressGroup("not MR", 3, {"not_mr": 3}, called_tumour=0, urgent=0, review=0)


@pytest.fixture
def table(own_model: Path) -> StressTable:
    return StressTable("tiny-1", ModelBundle.load(own_model).weights_sha256, "openvino", [HEADS, OTHERS])


def test_shares_are_of_what_was_read() -> None:
    assert (HEADS.refused, HEADS.read) == (10, 20)
    assert HEADS.share("urgent") == (0.3, wilson_interval(6, 20))
    assert OTHERS.share("urgent") is None


def test_it_is_read_back(own_model: Path, table: StressTable) -> None:
    table.write(own_model)
    assert StressTable.read(own_model) == table
    first, second = json.loads((own_model / "stress.json").read_text())["groups"]
    assert (first["review"], first["review_share"], first["refusals"]) == (4, 0.2, {"blank": 2, "not_brain": 8})
    assert second["review_share"] is second["review_ci95"] is None


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
    assert "| healthy heads | 30 | 10 | 0.25 (0.11–0.47) | 0.30 (0.15–0.52) | 0.20 (0.08–0.42) |" in card
    assert "| not MR | 3 | 3 | – | – | – |" in card

    replace(table, weights_sha256="0" * 64).write(own_model)
    write_model_card(own_model)
    card = (own_model / "MODEL_CARD.md").read_text()
    assert "measured with other weights" in card
    assert "healthy heads" not in card
