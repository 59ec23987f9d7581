"""The figures of metrics.json in Markdown: what the model card and the README say about them."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainer.figure_records import ClassFigures, Figures
from trainer.figure_table import figure_rows, markdown_table, with_interval
from trainer.intervals import Estimate
from trainer.metrics import Metrics
from trainer.runtime.bundle import Protocol
from trainer.runtime.records import CLASSES, LESION_CLASSES, TumorClass

ALL, UNSEEN, CLEAN = "all of Val", "Val unlike any training image", "Val without a look-alike in Train"


@dataclass(frozen=True)
class Column:
    """A set of Val images: what a table calls it, what its figures are worth, and the figures."""

    title: str
    protocol: Protocol
    figures: Figures


def columns_of(metrics: Metrics) -> Iterator[Column]:
    """The sets that were measured; a leak-free model's unseen images are all of Val, which is not said twice."""
    yield Column(ALL, metrics.protocol, metrics.val)
    if metrics.val_unseen is not None and metrics.protocol is not Protocol.LEAK_FREE:
        yield Column(UNSEEN, Protocol.LEAK_FREE, metrics.val_unseen)
    if metrics.val_clean is not None:
        # nothing in Train looks like these images; that helps only where Train holds what the model was trained on
        is_checked = metrics.protocol is not Protocol.UNCHECKED
        yield Column(CLEAN, Protocol.LEAK_FREE if is_checked else Protocol.UNCHECKED, metrics.val_clean)


def paragraph(text: str) -> str:
    """Text in lines of the card's width."""
    return textwrap.fill(text, 118, break_on_hyphens=False) + "\n"


def list_item(text: str) -> str:
    """The same as an item of a list."""
    return textwrap.fill(text, 118, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) + "\n"


def overview(metrics: Metrics) -> str:
    """The main figures as a table, and what they are worth."""
    columns = list(columns_of(metrics))
    table = markdown_table(
        ["with 95 % interval", *(column.title for column in columns)],
        [
            ["protocol", *(column.protocol for column in columns)],
            *figure_rows([column.figures for column in columns]),
        ],
    )
    return f"{table}\n{_leakage(metrics)}"


def _leakage(metrics: Metrics) -> str:
    look_alikes, missing = metrics.trained_look_alikes_of_val, metrics.training_files_not_found
    if metrics.protocol is Protocol.LEAK_FREE:
        return paragraph(
            "None of the images the model was trained on looks like a Val image (perceptual hash, mirror images "
            "counted): these are figures of the leak-free protocol."
        )
    if metrics.protocol is Protocol.LEAKY:
        left = f'are those of "{UNSEEN}"' if metrics.val_unseen else "do not exist: no Val image is unlike all of them"
        return paragraph(
            f"**{look_alikes} of the images the model was trained on look like a Val image** (perceptual hash, mirror "
            f'images counted): "{ALL}" is the published, leaky protocol, too good, and serves comparison with other '
            f"published figures only. The leak-free figures {left}."
        )
    found = "" if not look_alikes else f"; of those that were, {look_alikes} look like a Val image"
    return paragraph(
        f"**Not checked for leaks**: {missing} of the images the model was trained on were not there to compare Val "
        f"with, by name and sum{found}. Nobody can say what these figures are worth."
    )


def _per_class(
    figures: Figures, columns: Mapping[str, Callable[[ClassFigures], Estimate | None]], classes: Sequence[TumorClass]
) -> str:
    """A table with a row a class."""
    rows = [
        [each.label, str(each.images), *(with_interval(figure(each)) for figure in columns.values())]
        for each in figures.per_class
        if each.label in classes
    ]
    return markdown_table(["class", "images", *columns], rows)


def class_tables(figures: Figures) -> Iterator[str]:
    """Answers and boxes of every class, and which class is taken for which."""
    scores: dict[str, Callable[[ClassFigures], Estimate | None]] = {
        "precision": lambda each: each.scores.precision,
        "recall": lambda each: each.scores.recall,
        "F1": lambda each: each.scores.f1,
    }
    yield _per_class(figures, scores, CLASSES)
    boxes: dict[str, Callable[[ClassFigures], Estimate | None]] = {
        "AP50 tumour": lambda each: each.boxes.map50_tumour,
        "AP50-95 tumour": lambda each: each.boxes.map_tumour,
        "AP50 as published": lambda each: each.boxes.map50,
        "AP50-95 as published": lambda each: each.boxes.map,
    }
    yield _per_class(figures, boxes, LESION_CLASSES)
    rows = zip(CLASSES, figures.confusion_matrix, strict=True)
    yield markdown_table(["truth \\ answer", *CLASSES], [[f"**{label}**", *map(str, row)] for label, row in rows])


def interval_note(figures: Figures) -> str:
    """Where the intervals come from."""
    return paragraph(
        f"Look-alikes count together: Val holds {figures.groups} groups among {figures.images} images. Intervals of "
        "shares and F1 are Wilson's for as many images as the groups are worth, those of average precision and of "
        f"calibration error come from {figures.bootstrap_resamples} bootstrap draws of groups. A calibration error is "
        "a mean of distances and comes out too large on few images, so its interval reaches further down than up."
    )


def calibration_note(figures: Figures) -> str:
    """Whether fusing boxes and classifier costs calibration."""
    answer, classifier = figures.calibration.ece, figures.calibration.ece_classifier
    if answer is None or classifier is None:
        return ""
    beside = (
        f"(calibration error {answer.value:.3f}) than the temperature-scaled classifier alone ({classifier.value:.3f})"
    )
    if answer.value > classifier.value:
        return paragraph(
            f"The answer, boxes and classifier fused, is calibrated worse {beside}: "
            "read P(tumour) against the operating point, not as a frequency."
        )
    return paragraph(f"The answer, boxes and classifier fused, is calibrated no worse {beside}.")
