"""Where commands print: progress on standard error, the result on standard output."""

from rich.console import Console

PROGRESS = Console(stderr=True)
PIPE_COLUMNS = 150
"""Width of tables that go into a file or a pipe: wide enough for all of ours."""


def result_console() -> Console:
    """Of the result: as wide as the terminal; `PIPE_COLUMNS` where it goes elsewhere."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)
