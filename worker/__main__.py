"""`python -m worker`: the command line, see docs/cli.md."""

from worker.cli import main

main()
