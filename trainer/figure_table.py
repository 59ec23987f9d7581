"""The main figures as a table, a column for each set of images: for a terminal, and in Markdown for pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from trainer.figure_records import Figures
from trainer.intervals import Estimate
from trainer.terminal import result_console


@dataclass(frozen=True)
class Row:
    """A figure, and what a table calls it."""

    title: str
    figure: Callable[[Figures], Estimate | None]


ACCURACY = Row("accuracy, four classes", lambda found: found.decision.accuracy)
SENSITIVITY = Row("sensitivity at the operating point", lambda found: found.decision.sensitivity)
SPECIFICITY = Row("specificity at the operating point", lambda found: found.decision.specificity)
MAP50_TUMOUR = Row("mAP50, tumours (normal glands ignored)", lambda found: found.boxes.map50_tumour)
MAP_TUMOUR = Row("mAP50-95, tumours", lambda found: found.boxes.map_tumour)
MAP50 = Row("mAP50, all tumour and gland lines as published", lambda found: found.boxes.map50)
ECE_CLASSIFIER = Row(
    "calibration error, classifier after temperature scaling", lambda found: found.calibration.ece_classifier
)
ECE = Row("calibration error of the answer", lambda found: found.calibration.ece)

ROWS = (
    ACCURACY,
    Row("accuracy of the classifier alone", lambda found: found.decision.classifier_accuracy),
    SENSITIVITY,
    SPECIFICITY,
    MAP50_TUMOUR,
    MAP_TUMOUR,
    MAP50,
    Row("mAP50-95, as published", lambda found: found.boxes.map),
    Row("calibration error (15 bins) of the raw classifier", lambda found: found.calibration.ece_uncalibrated),
    ECE_CLASSIFIER,
    ECE,
    Row("share where a person has to look first", lambda found: found.decision.capped_share),
    Row("share with a low margin", lambda found: found.decision.low_margin_share),
    Row("share with a classifier that disagrees", lambda found: found.decision.disagreement_share),
)


def with_interval(estimate: Estimate | None) -> str:
    """A figure with its interval, a dash where there was nothing to count."""
    return "–" if estimate is None else f"{estimate.value:.3f} ({estimate.low:.3f}–{estimate.high:.3f})"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def figure_rows(columns: Sequence[Figures], rows: Sequence[Row] = ROWS) -> list[list[str]]:
    """The cells of a table, title first: the counts, then a line for each of `rows`."""
    counts = ["images (groups of look-alikes)", *(f"{figures.images} ({figures.groups})" for figures in columns)]
    return [counts, *([row.title, *(with_interval(row.figure(figures)) for figures in columns)] for row in rows)]


def print_figures(title: str, columns: Mapping[str, Figures | None]) -> None:
    """Print columns of figures by heading on standard output; one in which nothing was measured is left out."""
    measured = {heading: figures for heading, figures in columns.items() if figures is not None}
    table = Table("figure (95 % interval)", *measured, title=title)
    for cells in figure_rows(list(measured.values())):
        table.add_row(*cells)
    result_console().print(table)
