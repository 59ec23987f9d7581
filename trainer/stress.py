"""stress.json of a model folder: what the model answers on pictures of other scanners, and on what is no brain at all.

`python -m benchmarks.stress_table` measures it through the worker, which nothing in `trainer` may import.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trainer.runtime.bundle import ModelFolderError, write_json
from trainer.scores import wilson_interval

STRESS = "stress.json"
CALLS = ("called_tumour", "urgent", "review")
"""The counts of `StressGroup` that are shares of the slices read."""


@dataclass(frozen=True)
class StressGroup:
    """Pictures of one kind, each read as a study of its own.

    Attributes:
        name: what they show.
        files: how many there are.
        refusals: how many the intake refused, by the slug of its reason.
        called_tumour: slices whose most likely class is a tumour.
        urgent: slices with P(tumour) at or above the operating point; a few of them are not called a tumour.
        review: slices that are not urgent, with a reason why a person should look.
    """

    name: str
    files: int
    refusals: Mapping[str, int]
    called_tumour: int
    urgent: int
    review: int

    @property
    def refused(self) -> int:
        """Files without an answer."""
        return sum(self.refusals.values())

    @property
    def read(self) -> int:
        """Slices with an answer."""
        return self.files - self.refused

    def share(self, call: str) -> tuple[float, tuple[float, float]] | None:
        """The share of one of `CALLS` with its Wilson interval; `None` where nothing was read."""
        count = getattr(self, call)
        return (count / self.read, wilson_interval(count, self.read)) if self.read else None

    def as_json(self) -> dict[str, object]:
        """Counts and shares."""
        found: dict[str, object] = {"name": self.name, "files": self.files, "refused": self.refused}
        found |= {"refusals": dict(self.refusals), "read": self.read}
        for call in CALLS:
            share = self.share(call)
            found |= {call: getattr(self, call), f"{call}_share": share and share[0]}
            found[f"{call}_ci95"] = share and share[1]
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """The counts back; shares follow from them."""
        return cls(found["name"], found["files"], found["refusals"], *(found[call] for call in CALLS))


@dataclass(frozen=True)
class StressTable:
    """All groups, measured with one model.

    Attributes:
        model: version.
        weights_sha256: of its weights.
        engine: what ran them.
        groups: in the order in which they are shown.
    """

    model: str
    weights_sha256: str
    engine: str
    groups: Sequence[StressGroup]

    def as_json(self) -> dict[str, object]:
        """What stress.json holds."""
        head = {"model": self.model, "weights_sha256": self.weights_sha256, "engine": self.engine}
        return head | {"groups": [group.as_json() for group in self.groups]}

    def write(self, folder: Path) -> None:
        """Write stress.json into a model folder."""
        write_json(folder / STRESS, self.as_json())

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read it back; `None` where it was never measured.

        Raises:
            ModelFolderError: the file is broken.
        """
        path = folder / STRESS
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text())
            groups = [StressGroup.from_json(group) for group in found["groups"]]
            return cls(found["model"], found["weights_sha256"], found["engine"], groups)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f"{path} is no stress table: {error!r}; measure it again.") from error
