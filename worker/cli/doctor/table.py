"""The lines as a table for people."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.cli.doctor.lines import Examination, State

STYLES = {State.OK: "green", State.WARNING: "yellow", State.TROUBLE: "bold red"}


def print_lines(found: Examination) -> None:
    """One row a line, what to do below the sentence, and the worst state last."""
    table = Table()
    for column in ("Check", "State", "What was found, what to do"):
        table.add_column(column, overflow="fold", no_wrap=column != "What was found, what to do")
    for line in found.lines:
        text = Text(line.sentence)
        if line.remedy is not None:
            text.append(f"\n→ {line.remedy}", "bold")
        table.add_row(line.check, Text(line.state, STYLES[line.state]), text)
    console = Console()
    console.print(table)
    console.print(Text(found.state, STYLES[found.state]))
