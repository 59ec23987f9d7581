"""What the doctor says of one thing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from worker.settings import Settings


class State(StrEnum):
    """`trouble` keeps a worker from its work; of a `warning` somebody should know."""

    OK = "ok"
    WARNING = "warning"
    TROUBLE = "trouble"


@dataclass(frozen=True)
class Line:
    """Field names are those of the JSON contract; no secret, and no name of a scan, is in any of them.

    Attributes:
        check: what was looked at.
        state: how it is.
        sentence: what was found.
        remedy: what to do, `None` where nothing is.
    """

    check: str
    state: State
    sentence: str
    remedy: str | None = None


@dataclass(frozen=True)
class Examination:
    """The worst state of all lines, and the lines."""

    state: State
    lines: tuple[Line, ...]


Check = Callable[[Settings], Iterable[Line]]


def ok(check: str, sentence: str) -> Line:
    """All is well."""
    return Line(check, State.OK, sentence)


def warning(check: str, sentence: str, remedy: str) -> Line:
    """It works, but not as it should."""
    return Line(check, State.WARNING, sentence, remedy)


def trouble(check: str, sentence: str, remedy: str) -> Line:
    """It does not work."""
    return Line(check, State.TROUBLE, sentence, remedy)
