"""The main figures as a table for a terminal, a column for each set of images."""

from collections.abc import Mapping

from rich.table import Table

from trainer.readings import STDERR

ROWS = (
    "images", "accuracy", "sensitivity", "specificity", "map50", "map", "map50_tumour", "map_tumour",
    "ece_uncalibrated", "ece_classifier", "ece",
)  # fmt: skip


def _cell(column: Mapping[str, object], name: str) -> str:
    value, interval = column.get(name), column.get(f"{name}_ci95")
    if not isinstance(value, float | int):
        return "-"
    return f"{value:.4g}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if isinstance(interval, tuple) else "")


def print_figures(title: str, columns: Mapping[str, object]) -> None:
    """Print columns of figures by heading on standard error; one that is no mapping (nothing measured) stays empty."""
    table = Table(title=title)
    table.add_column("figure (95 % interval)")
    for heading in columns:
        table.add_column(heading)
    figures = [column if isinstance(column, Mapping) else {} for column in columns.values()]
    for name in ROWS:
        table.add_row(name, *(_cell(column, name) for column in figures))
    STDERR.print(table)
