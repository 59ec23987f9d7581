"""stress.json of a model folder: what the model answers on pictures of other scanners, and on what is no brain at all.

`python -m benchmarks.stress_table` measures it through the worker, which nothing in `trainer` may import.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trainer.intervals import Interval
from trainer.runtime.bundle import CALIBRATION, WEIGHTS, ModelFolderError, write_json

STRESS = "stress.json"
CALLS = ("called_tumour", "urgent", "review")
"""The fields of `StressGroup` that are shares of its pictures."""


HEALTHY_T1 = ("healthy T1", "the same scan", "healthy, several cases, T1")
KNOWN_TUMORS = ("glioma", "meningioma")
NO_BRAIN = ("MR, not a brain", "MR, pixels scrambled", "not MR")
"""What the names of such groups begin with."""


@dataclass(frozen=True)
class StressCount:
    """Pictures with one answer.

    Attributes:
        pictures: how many.
        ci95: 95 % interval of their share; `None` where all are of one study, which says nothing about another.
    """

    pictures: int
    ci95: Interval | None


@dataclass(frozen=True)
class StressGroup:
    """Pictures of one kind, each read as a study of its own.

    Attributes:
        name: what they show.
        files: how many there are.
        refusals: how many the intake refused, by the slug of its reason.
        pictures: how many of the slices read differ in a pixel; the same picture in two files counts once.
        studies: how many studies they are of; `None` where the files do not say.
        called_tumour: pictures whose most likely class is a tumour.
        urgent: pictures with P(tumour) at or above the operating point, where no person has to look first; a few of
            them are not called a tumour.
        review: pictures that are not urgent, with a reason why a person should look.
    """

    name: str
    files: int
    refusals: Mapping[str, int]
    pictures: int
    studies: int | None
    called_tumour: StressCount
    urgent: StressCount
    review: StressCount

    @property
    def refused(self) -> int:
        """Files without an answer."""
        return sum(self.refusals.values())

    @property
    def left(self) -> int:
        """Pictures that are neither urgent nor sent to review."""
        return self.pictures - self.urgent.pictures - self.review.pictures

    def as_json(self) -> dict[str, object]:
        """Counts and shares."""
        found: dict[str, object] = {"name": self.name, "files": self.files, "refused": self.refused}
        found |= {"refusals": dict(self.refusals), "read": self.files - self.refused}
        found |= {"pictures": self.pictures, "studies": self.studies}
        for call in CALLS:
            count: StressCount = getattr(self, call)
            share = count.pictures / self.pictures if self.pictures else None
            found |= {call: count.pictures, f"{call}_share": share, f"{call}_ci95": count.ci95}
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """The counts back; shares follow from them.

        Raises:
            KeyError, TypeError, ValueError: something is missing, or not what it should be.
        """
        counts = [StressCount(found[call], _interval(found[f"{call}_ci95"])) for call in CALLS]
        # a table of before counted files, not pictures; it names no calibration either, and is never shown
        pictures, studies = found.get("pictures", found["read"]), found.get("studies")
        return cls(found["name"], found["files"], found["refusals"], pictures, studies, *counts)

    def cells(self) -> list[str]:
        """The row of a table, below `HEADINGS`."""
        shares = []
        for call in CALLS:
            count: StressCount = getattr(self, call)
            if not self.pictures:
                shares.append("–")
            elif count.ci95 is None:
                shares.append(f"{count.pictures} of {self.pictures}")
            else:
                shares.append(f"{count.pictures / self.pictures:.2f} ({count.ci95[0]:.2f}–{count.ci95[1]:.2f})")
        studies = "not stated" if self.studies is None else str(self.studies)
        return [self.name, str(self.files), str(self.refused), str(self.pictures), studies, *shares]


HEADINGS = ("pictures", "files", "refused", "different", "studies", "called a tumour", "urgent", "sent to review")


def _interval(found: Sequence[float] | None) -> Interval | None:
    if found is None:
        return None
    low, high = found
    return float(low), float(high)


@dataclass(frozen=True)
class StressTable:
    """All groups, measured with one model.

    Attributes:
        model: version.
        weights_sha256: of its weights.
        calibration_sha256: of its calibration.json; empty in a table of before that was noted.
        engine: what ran them.
        groups: in the order in which they are shown.
    """

    model: str
    weights_sha256: str
    calibration_sha256: str
    engine: str
    groups: Sequence[StressGroup]

    @property
    def healthy_t1(self) -> list[StressGroup]:
        """Slices of healthy heads, T1."""
        return [each for each in self.groups if each.name.startswith(HEALTHY_T1)]

    @property
    def known_tumors(self) -> list[StressGroup]:
        """Slices of tumours of a class of the model."""
        return [each for each in self.groups if each.name.startswith(KNOWN_TUMORS)]

    @property
    def no_brain(self) -> list[StressGroup]:
        """What shows no brain, or is no MR."""
        return [each for each in self.groups if each.name.startswith(NO_BRAIN)]

    def is_of(self, files: Mapping[str, str]) -> bool:
        """Whether it was measured with the files of a manifest."""
        return (self.weights_sha256, self.calibration_sha256) == (files[WEIGHTS], files[CALIBRATION])

    def as_json(self) -> dict[str, object]:
        """What stress.json holds."""
        head = {"model": self.model, "weights_sha256": self.weights_sha256}
        head |= {"calibration_sha256": self.calibration_sha256, "engine": self.engine}
        return {**head, "groups": [group.as_json() for group in self.groups]}

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
            calibration_sha256 = found.get("calibration_sha256", "")
            return cls(found["model"], found["weights_sha256"], calibration_sha256, found["engine"], groups)
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise ModelFolderError(
                f"{path} is no stress table ({error!r}): remove it, or measure it again with "
                "`python -m benchmarks.stress_table --write`."
            ) from error
