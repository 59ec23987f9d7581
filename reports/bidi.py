"""Right-to-left text: the implicit part of the Unicode Bidirectional Algorithm (UAX #9) for one line.

Explicit overrides, embeddings and isolates never get here (reports/text.py removes them) and paired brackets (N0) get
the neutral rules, which only matters inside a bracket that mixes directions. The library for this, python-bidi, gives
neither levels nor mirrored brackets in its current engine, and HarfBuzz needs the levels.
"""

import unicodedata
from dataclasses import dataclass
from itertools import groupby

__all__ = ["DirectionalRun", "visual_runs"]

_NEUTRAL = frozenset({"B", "S", "WS", "ON"})
_STRONG = frozenset({"L", "R", "AL"})
_AS_RIGHT = frozenset({"R", "EN", "AN"})


@dataclass(frozen=True)
class DirectionalRun:
    """A slice of the logical text that is written in one direction."""

    start: int
    stop: int
    right_to_left: bool


def visual_runs(text: str) -> list[DirectionalRun]:
    """Return the runs of `text` from left to right as they stand on the page.

    The direction of the line is that of its first strong character (P2, P3), left to right without one.
    """
    types = [unicodedata.bidirectional(char) or "L" for char in text]
    if not any(kind in {"R", "AL", "AN"} for kind in types):
        return [DirectionalRun(0, len(text), right_to_left=False)] if text else []
    base = 0 if next((kind for kind in types if kind in _STRONG), "L") == "L" else 1
    sided = _resolve_neutral(_resolve_weak(types, base), base)
    return _reorder(_levels(sided, text, base))


def _resolve_weak(types: list[str], base: int) -> list[str]:
    side = "R" if base else "L"
    resolved: list[str] = []
    strong = side
    for kind in types:  # W1 to W3; joiners (BN) follow their letter as marks do
        current = (resolved[-1] if resolved else side) if kind in {"NSM", "BN"} else kind
        if current in _STRONG:
            strong = current
        resolved.append("AN" if current == "EN" and strong == "AL" else current)
    resolved = ["R" if kind == "AL" else kind for kind in resolved]
    _join_separators(resolved)
    _join_terminators(resolved)
    strong = side
    for index, kind in enumerate(resolved):  # W6, W7
        if kind in {"L", "R"}:
            strong = kind
        elif kind in {"ES", "ET", "CS"}:
            resolved[index] = "ON"
        elif kind == "EN" and strong == "L":
            resolved[index] = "L"
    return resolved


def _join_separators(types: list[str]) -> None:
    for index in range(1, len(types) - 1):  # W4: 1.5, 2026-11-23
        left, right = types[index - 1], types[index + 1]
        joinable = {"ES": {"EN"}, "CS": {"EN", "AN"}}.get(types[index], set())
        if left == right and left in joinable:
            types[index] = left


def _join_terminators(types: list[str]) -> None:
    start = 0  # W5: signs beside a number belong to it
    for kind, group in groupby(list(types)):
        stop = start + len(list(group))
        before = types[start - 1] if start else ""
        after = types[stop] if stop < len(types) else ""
        if kind == "ET" and "EN" in {before, after}:
            types[start:stop] = ["EN"] * (stop - start)
        start = stop


def _resolve_neutral(types: list[str], base: int) -> list[str]:
    side = "R" if base else "L"
    resolved = list(types)
    start = 0
    for neutral, group in groupby(types, key=_NEUTRAL.__contains__):  # N1, N2
        stop = start + len(list(group))
        if neutral:
            before = _direction(types[start - 1]) if start else side
            after = _direction(types[stop]) if stop < len(types) else side
            resolved[start:stop] = [before if before == after else side] * (stop - start)
        start = stop
    return resolved


def _direction(kind: str) -> str:
    return "R" if kind in _AS_RIGHT else "L"


def _levels(types: list[str], text: str, base: int) -> list[int]:
    rise = {"L": 0, "R": 1, "AN": 2, "EN": 2} if base == 0 else {"L": 1, "R": 0, "AN": 1, "EN": 1}
    levels = [base + rise[kind] for kind in types]
    trailing = len(text) - len(text.rstrip())
    return levels[: len(levels) - trailing] + [base] * trailing  # L1


def _reorder(levels: list[int]) -> list[DirectionalRun]:
    runs: list[tuple[int, DirectionalRun]] = []
    start = 0
    for level, group in groupby(levels):
        stop = start + len(list(group))
        runs.append((level, DirectionalRun(start, stop, right_to_left=level % 2 == 1)))
        start = stop
    for threshold in range(max(levels), 0, -1):  # L2
        runs = _with_high_runs_reversed(runs, threshold)
    return [run for _, run in runs]


def _with_high_runs_reversed(runs: list[tuple[int, DirectionalRun]], floor: int) -> list[tuple[int, DirectionalRun]]:
    reordered: list[tuple[int, DirectionalRun]] = []
    for high, group in groupby(runs, key=lambda run: run[0] >= floor):
        stretch = list(group)
        reordered.extend(reversed(stretch) if high else stretch)
    return reordered
