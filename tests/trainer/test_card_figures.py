"""What the model card and the README say about the figures: which column is leak-free, above all."""

from dataclasses import replace

import pytest

from trainer.card_figures import calibration_note, class_tables, overview
from trainer.intervals import Estimate
from trainer.runtime.bundle import Protocol

from .figures_made_by_hand import made_up_figures, made_up_metrics


def unwrapped(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("protocol", "columns", "worth", "sentence"),
    [
        (Protocol.LEAK_FREE, "all of Val | Val without a look-alike in Train", "leak-free | leak-free",
         "these are figures of the leak-free protocol"),
        (Protocol.LEAKY, "all of Val | Val unlike any training image | Val without a look-alike in Train",
         "published (leaky) | leak-free | leak-free",
         'The leak-free figures are those of "Val unlike any training image".'),
        (Protocol.UNCHECKED, "all of Val | Val without a look-alike in Train", "unchecked | unchecked",
         "**Not checked for leaks**: 12 of the images"),
    ],
)  # fmt: skip
def test_every_column_says_what_it_is_worth(protocol: Protocol, columns: str, worth: str, sentence: str) -> None:
    text = overview(made_up_metrics(protocol))
    assert f"| with 95 % interval | {columns} |" in text
    assert f"| protocol | {worth} |" in text
    assert sentence in unwrapped(text)


def test_images_and_their_groups() -> None:
    text = overview(made_up_metrics(Protocol.LEAKY))
    assert "| images (groups of look-alikes) | 40 (30) | 20 (18) | 9 (9) |" in text
    assert "| accuracy, four classes | 0.900 (0.800–0.950) | 0.850 (0.750–0.950) | 0.800 (0.700–0.950) |" in text


def test_a_model_that_saw_a_look_alike_of_every_image() -> None:
    text = overview(replace(made_up_metrics(Protocol.LEAKY), val_unseen=None))
    assert "The leak-free figures do not exist: no Val image is unlike all of them." in unwrapped(text)


def test_classes() -> None:
    scores, boxes, confusion = class_tables(made_up_figures())
    assert "| No Tumor | 10 | 0.900 (0.800–0.950) | 0.900 (0.800–0.950) | – |" in scores
    assert "No Tumor" not in boxes
    assert "| **Pituitary** | 0 | 0 | 3 | 7 |" in confusion


def test_what_fusing_costs_in_calibration() -> None:
    figures = made_up_figures()
    assert "calibrated worse (calibration error 0.032) than" in unwrapped(calibration_note(figures))
    better = replace(figures.calibration, ece=Estimate(0.01, 0.0, 0.02))
    assert "calibrated no worse (calibration error 0.010) than" in calibration_note(
        replace(figures, calibration=better)
    )
