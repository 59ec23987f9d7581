"""Everything a worker needs, looked at one by one: `examine` gives a line for each, `print_lines` a table."""

from worker.cli.doctor.examine import examine
from worker.cli.doctor.lines import Examination, Line, State
from worker.cli.doctor.table import print_lines

__all__ = ["Examination", "Line", "State", "examine", "print_lines"]
