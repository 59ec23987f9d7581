"""run.json: what a run began with and how it ended, in its folder and in that of a model made of it. No torch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from trainer.runtime.bundle import RUN, write_json

SCRATCH, TORCHVISION = "scratch", "torchvision IMAGENET1K_V1"


class RunRecordError(Exception):
    """A run.json that cannot be read; the message says which and why."""


class Ending(StrEnum):
    """Why training stopped."""

    ALL_EPOCHS = "all epochs"
    EARLY_STOP = "early stop"
    OUT_OF_TIME = "out of time"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether the recipe has nothing left to do."""
        return self in (Ending.ALL_EPOCHS, Ending.EARLY_STOP)


@dataclass(frozen=True)
class End:
    """How far a run came: whole epochs, and why it stopped."""

    epochs_done: int
    ending: Ending


@dataclass(frozen=True)
class StartWeights:
    """Where the first weights came from.

    Attributes:
        source: `SCRATCH`, `TORCHVISION`, or the name of a file.
        sha256: of that file.
        epochs: of the run that wrote it, where a run did.
        before: what that run began with.
    """

    source: str
    sha256: str | None = None
    epochs: int | None = None
    before: "StartWeights | None" = None

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read it back.

        Raises:
            KeyError, TypeError: something is missing, or not what it should be.
        """
        before = found.get("before")
        return cls(found["source"], found.get("sha256"), found.get("epochs"), cls.from_json(before) if before else None)


@dataclass(frozen=True)
class Ingredient:
    """Weights that a mean was made of: the last two parts of their path, their sum, their share."""

    source: str
    sha256: str
    share: float


@dataclass(frozen=True)
class Environment:
    """What a run computes with. Gone on with in another one it need not end as it would have, to the byte.

    Attributes:
        processes: how many divide each batch.
        device: `cpu` or `cuda`.
        precision: `bfloat16` where the hardware computes in it, else `float32`.
        torch: its version.
        code: git's commit of this code, `-dirty` behind it where files differ; `None` where there is no git.
    """

    processes: int
    device: str
    precision: str
    torch: str
    code: str | None = None

    def differences(self, now: "Environment") -> Iterator[str]:
        """What is otherwise now, a few words each; a commit that either side does not know is no difference."""
        for field in fields(self):
            before, after = getattr(self, field.name), getattr(now, field.name)
            if before != after and None not in (before, after):
                yield f"{field.name} {after} instead of {before}"


@dataclass(frozen=True)
class RunRecord:
    """run.json. What older versions did not write is `None`.

    Attributes:
        seed: of the division of Train and of the training.
        start_weights: the first weights.
        labels_sha256: sum over all label lines of the images trained on and held out (`trainer.parts.labels_sum`).
        environment: what it was begun with.
        end: `None` while it trains, or when it was killed.
        mean_of: what `trainer.average` made the weights of; all else is then of the first of them.
    """

    seed: int
    start_weights: StartWeights
    labels_sha256: str | None = None
    environment: Environment | None = None
    end: End | None = None
    mean_of: tuple[Ingredient, ...] | None = None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read run.json of a folder; `None` where there is none.

        Raises:
            RunRecordError: it is broken.
        """
        path = folder / RUN
        try:
            found: Mapping[str, Any] = json.loads(path.read_text())
            environment, end, mean_of = (found.get(name) for name in ("environment", "end", "mean_of"))
            return cls(
                int(found["seed"]),
                StartWeights.from_json(found["start_weights"]),
                found.get("labels_sha256"),
                Environment(**environment) if environment else None,
                End(int(end["epochs_done"]), Ending(end["ending"])) if end else None,
                tuple(Ingredient(**each) for each in mean_of) if mean_of else None,
            )
        except FileNotFoundError:
            return None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunRecordError(f"{path} is broken ({error!r})") from error

    def write(self, folder: Path) -> None:
        """Write run.json into a folder, whole or not at all."""
        write_json(folder / RUN, asdict(self, dict_factory=_without_none))


def _without_none(items: list[tuple[str, object]]) -> dict[str, object]:
    return {name: value for name, value in items if value is not None}
