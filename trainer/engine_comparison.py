"""engines.json of a model folder: what each engine answers beside the float32 network, and how fast it is.

`python -m trainer.compare_engines` measures it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from trainer.runtime.bundle import CALIBRATION, GRAPH_WEIGHTS, INT8_GRAPH_WEIGHTS, WEIGHTS, ModelFolderError, write_json

ENGINES = "engines.json"
_MEASURED_FILES = (WEIGHTS, GRAPH_WEIGHTS, INT8_GRAPH_WEIGHTS, CALIBRATION)
"""The answers follow from these."""


@dataclass(frozen=True)
class ComparedEngine:
    """One engine beside the reference.

    Attributes:
        engine: its name.
        accuracy: of its answers, 0..1.
        map50: over the classes with boxes, as published; `None` where no image has one.
        map50_tumour: over the tumours alone.
        map: as `map50`, mean over IoU 0.5 to 0.95.
        same_labels: share of images with the reference's label, 0..1.
        probability_difference: the largest of any probability.
        novelty_difference: the largest of any distance to the training images.
        images_per_second: median, in batches.
        speed_ratio: of that to the reference, median over rounds.
        single_speed_ratio: the same image by image.
        broken: one sentence for each limit it is outside of.
    """

    engine: str
    accuracy: float
    map50: float | None
    map50_tumour: float | None
    map: float | None
    same_labels: float
    probability_difference: float
    novelty_difference: float
    images_per_second: float
    speed_ratio: float
    single_speed_ratio: float
    broken: tuple[str, ...]


@dataclass(frozen=True)
class EngineComparison:
    """Every engine of one model on one machine.

    Attributes:
        files: sums of the model's files that the answers follow from, by name.
        processor: the machine's, as OpenVINO names it, with the number types it computes in.
        threads: that each engine had.
        images: of Val.
        engines: the reference first.
    """

    files: Mapping[str, str]
    processor: str
    threads: int
    images: int
    engines: Sequence[ComparedEngine]

    def is_of(self, files: Mapping[str, str]) -> bool:
        """Whether it was measured with the files of a manifest."""
        return dict(self.files) == measured_files(files)

    def write(self, folder: Path) -> None:
        """Write engines.json into a model folder."""
        write_json(folder / ENGINES, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read it back; `None` where it was never measured.

        Raises:
            ModelFolderError: the file is broken.
        """
        path = folder / ENGINES
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text())
            engines = [ComparedEngine(**row | {"broken": tuple(row["broken"])}) for row in found.pop("engines")]
            return cls(**found, engines=engines)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f"{path} is no comparison of engines: {error!r}; measure it again.") from error


def measured_files(files: Mapping[str, str]) -> dict[str, str]:
    """Of the sums in a manifest, those that a comparison is bound to."""
    return {name: files[name] for name in _MEASURED_FILES if name in files}


HEADINGS = (
    "engine", "accuracy", "mAP50", "mAP50 tumour", "mAP50-95", "same label", "largest diff.", "novelty diff.",
    "images/s", "ratio", "ratio one by one",
)  # fmt: skip


def table_rows(engines: Sequence[ComparedEngine]) -> Iterator[list[str]]:
    """Cells below `HEADINGS`, a row an engine."""
    for row in engines:
        figures = (row.accuracy, row.map50, row.map50_tumour, row.map, row.same_labels)
        cells = ["–" if figure is None else f"{figure:.4f}" for figure in figures]
        speed = [f"{row.images_per_second:.1f}", f"{row.speed_ratio:.2f}", f"{row.single_speed_ratio:.2f}"]
        yield [row.engine, *cells, f"{row.probability_difference:.1e}", f"{row.novelty_difference:.1e}", *speed]
