"""What is dropped, and what has to become of it: the audit's expectation."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.worker.scans import archive, dicom, png

SLICES = 3


@dataclass(frozen=True)
class Drop:
    """A file for the inbox.

    Attributes:
        content: its bytes.
        outcome: `reported`, `rejected` or `unpacked`; of equal ones that are reported, all but one are `duplicate`.
        study: what it is a slice of; a picture is a study of its own.
        members: of an archive, by name, all reported.
    """

    content: bytes
    outcome: str = "reported"
    study: str | None = None
    members: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """What the database must say at the end.

    Attributes:
        names: one row each.
        outcomes: how many rows have which.
        studies: how many there are.
    """

    names: frozenset[str]
    outcomes: Counter[str]
    studies: int


def expected(drops: Mapping[str, Drop]) -> Expected:
    """Of everything that was dropped, in whatever order it was taken."""
    outcomes = Counter(drop.outcome for drop in drops.values() if drop.outcome != "reported")
    contents = {name: drop.content for name, drop in drops.items() if drop.outcome == "reported"}
    studies = {drop.study or drop.content for drop in drops.values() if drop.outcome == "reported"}
    names = set(drops)
    for name, drop in drops.items():
        members = {f"{name}/{member}": content for member, content in drop.members.items()}
        contents |= members
        studies |= set(members.values())
        names |= members.keys()
    different = len(set(contents.values()))
    outcomes |= Counter({"reported": different, "duplicate": len(contents) - different})
    return Expected(frozenset(names), +outcomes, len(studies))


def pictures(count: int, first: int = 0) -> dict[str, Drop]:
    """So many small pictures, each different."""
    return {f"scan {number}.png": Drop(png(number)) for number in range(first, first + count)}


def one_of_everything(seed: int = 0) -> dict[str, Drop]:
    """A picture, the same again, a file that is none, an archive of two pictures and a study of three slices."""
    first = 10 * seed
    members = {f"scan {number}.png": png(number) for number in range(first + 1, first + 3)}
    slices = {f"study {seed}/{number}.dcm": Drop(dicom(first + 1, number), study=f"{seed}") for number in range(SLICES)}
    return {
        f"scan {seed}.png": Drop(png(first)),
        f"again/scan {seed}.png": Drop(png(first)),
        f"no scan {seed}.png": Drop(f"no picture at all {seed}".encode(), "rejected"),
        f"archive {seed}.zip": Drop(archive(members), "unpacked", members=members),
        **slices,
    }


def mixed(count: int, first_seed: int = 0) -> dict[str, Drop]:
    """`one_of_everything`, so often."""
    return {
        name: drop for seed in range(first_seed, first_seed + count) for name, drop in one_of_everything(seed).items()
    }
