"""Figures to JSON and back: the keys that other programs read, and nothing lost on the way."""

import json
from dataclasses import fields

import pytest

from trainer.figure_records import (
    BoxFigures,
    CalibrationFigures,
    ClassFigures,
    ClassScores,
    DecisionFigures,
    Figures,
)
from trainer.runtime.records import CLASSES

from .figures_made_by_hand import made_up_figures


def test_nothing_is_lost() -> None:
    found = made_up_figures()
    assert Figures.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_every_figure_has_its_key_and_its_interval() -> None:
    found = made_up_figures().as_json()
    for record in (DecisionFigures, CalibrationFigures, BoxFigures):
        for field in fields(record):
            assert {field.name, f"{field.name}_ci95"} <= found.keys()
    per_class = found["per_class"]
    assert isinstance(per_class, dict)
    assert list(per_class) == list(CLASSES)
    for each in per_class.values():
        names = [field.name for record in (ClassScores, BoxFigures) for field in fields(record)]
        assert each.keys() == {"images", *names, *(f"{name}_ci95" for name in names)}
    assert (found["accuracy"], found["accuracy_ci95"]) == (0.9, (0.8, 0.95))
    assert found["images"] == 40
    assert found["classes"] == ["Glioma", "Meningioma", "No Tumor", "Pituitary"]


def test_what_could_not_be_counted_is_null() -> None:
    healthy = made_up_figures().per_class[2]
    assert healthy.as_json()["map50"] is healthy.as_json()["map50_ci95"] is None
    assert ClassFigures.from_json(healthy.label, healthy.as_json()) == healthy


@pytest.mark.parametrize("name", ["accuracy", "groups", "per_class", "ece"])
def test_a_missing_figure_is_missed(name: str) -> None:
    found = made_up_figures().as_json()
    del found[name]
    with pytest.raises(KeyError, match=name):
        Figures.from_json(found)
