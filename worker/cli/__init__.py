"""The command line, `python -m worker`: read scans without a worker, and look at what a worker does.

`commands` holds the commands; whatever they need is imported when one runs, so that `--help` stays quick.
"""

from worker.cli.commands import app, main

__all__ = ["app", "main"]
