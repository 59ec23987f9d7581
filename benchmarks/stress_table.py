"""What the model answers on other scanners' heads and on what is no brain at all: shares called tumour, urgent, review.

Every file goes the way of `python -m worker predict`: the worker's intake reads or refuses it, and the worker's
analysis and triage answer. The one difference: **each slice is a study of its own**. A study's answer is that of its
three most suspicious slices, and a row holds one or two studies, so there would be no share to speak of; by slices, a
share says how often a single picture misleads. A series of many slices is called urgent more often than that.

The slices of a row come from one or a few patients and resemble each other: the Wilson intervals treat them as
independent and are too narrow for another patient or scanner. The pictures judge the model and choose nothing in it.
"""

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from trainer.model_card import write_model_card
from trainer.runtime.bundle import METRICS, ModelFolderError
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import BATCH_SIZE, EngineName, Predictor, load_predictor
from trainer.runtime.records import TumorClass
from trainer.stress import CALLS, StressGroup, StressTable
from worker.domain import Priority
from worker.intake import DEFAULT_LIMITS
from worker.predict import InputFile, StudyLine, StudyStatus, Unit, predict_units
from worker.settings import Settings

MANIFEST = "MANIFEST.csv"
PIPE_COLUMNS = 132


class StressDataError(Exception):
    """The folder of pictures cannot be used; the message says why."""


@dataclass(frozen=True)
class Kind:
    """A row of the table: files of these folders whose manifest line has one of these words.

    Attributes:
        name: what they show.
        folders: names of folders.
        words: looked for in the column "exercises"; none: every file of the folders.
    """

    name: str
    folders: frozenset[str]
    words: tuple[str, ...] = ()

    def holds(self, row: Mapping[str, str]) -> bool:
        """Whether a line of the manifest belongs here."""
        in_folder = row["file"].partition("/")[0] in self.folders
        return in_folder and (not self.words or any(word in row["exercises"] for word in self.words))


def _kind(name: str, *folders: str, words: tuple[str, ...] = ()) -> Kind:
    return Kind(name, frozenset(folders), words)


# the first that holds decides; no healthy T2 or FLAIR is among the pictures
KINDS = (
    _kind("healthy T1, axial", "series-t1-axial"),
    _kind("the same scan, 26 slices 2 apart", "series-t1-axial-dense"),
    _kind("healthy T1, sagittal, child of 3", "series-t1-sagittal-siemens"),
    _kind("patient with a lesion, FLAIR, whole series", "series-flair-philips-lesion"),
    _kind("the same patient, T2", "series-t2-philips-lesion"),
    _kind("the same patient, T1", "series-t1-philips-lesion"),
    _kind("head MR, 64 × 64, one slice in 8 encodings", "transfer-syntax", words=("head MR",)),
    _kind("MR, not a brain: shoulder, abdomen, fruit, sphere", "mr-not-brain"),
    _kind("MR, not a brain: shoulder, abdomen, fruit, sphere", "transfer-syntax", words=("shoulder",)),
    _kind("MR, pixels scrambled to noise", "scrambled"),
    _kind("MR, pixels scrambled to noise", "transfer-syntax", words=("noise",)),
    _kind("MR: maps, scouts, mosaics, multi-frame, thumbnails", "derived", "mosaic", "mr-odd", "enhanced-multiframe"),
    _kind("MR: maps, scouts, mosaics, multi-frame, thumbnails", "dicomdir", words=("16x16",)),
    _kind("not MR", "not-mr", "photometric", "charset", "transfer-syntax"),
    _kind("damaged, or no image", "broken", "dicomdir"),
)
ELSE = "everything else"


def read_manifest(folder: Path) -> dict[str, list[Path]]:
    """The files that MANIFEST.csv lists, by the name of their row, in the order of `KINDS`.

    Raises:
        StressDataError: the manifest is missing, or not a list of files.
    """
    try:
        with (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
            rows = [(row["file"], _name_of(row)) for row in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise StressDataError(f"{folder} holds no {MANIFEST}.") from error
    except (KeyError, UnicodeError) as error:
        raise StressDataError(f'{folder / MANIFEST} has no columns "file" and "exercises".') from error
    found: dict[str, list[Path]] = {name: [] for name in (*(kind.name for kind in KINDS), ELSE)}
    for path, name in rows:
        found[name].append(folder / path)
    return {name: paths for name, paths in found.items() if paths}


def _name_of(row: Mapping[str, str]) -> str:
    return next((kind.name for kind in KINDS if kind.holds(row)), ELSE)


def answers(predictor: Predictor, paths: Sequence[Path]) -> Iterator[StudyLine]:
    """The line of every file, in order, each file a study of its own."""
    units = [Unit([InputFile(path, str(path))]) for path in paths]
    return predict_units(units, predictor, DEFAULT_LIMITS, BATCH_SIZE)


def count(name: str, lines: Sequence[StudyLine]) -> StressGroup:
    """One row of the table."""
    refusals = Counter(line.reason.value for line in lines if line.reason is not None)
    read = [line for line in lines if line.status is StudyStatus.OK]
    return StressGroup(
        name=name,
        files=len(lines),
        refusals=dict(sorted(refusals.items())),
        called_tumour=sum(line.label is not TumorClass.NO_TUMOR for line in read),
        urgent=sum(line.priority is Priority.URGENT for line in read),
        review=sum(line.priority is Priority.REVIEW for line in read),
    )


def measure(predictor: Predictor, folder: Path) -> StressTable:
    """Read every file the manifest of a folder lists.

    Raises:
        StressDataError: the manifest cannot be used.
    """
    kinds = read_manifest(folder)
    progress = track(kinds.items(), "reading", console=Console(stderr=True), transient=True)
    groups = [count(name, list(answers(predictor, paths))) for name, paths in progress]
    bundle = predictor.bundle
    return StressTable(bundle.version, bundle.weights_sha256, predictor.engine_name, groups)


def print_table(table: StressTable) -> None:
    """The table for people."""
    shown = Table(title=f"{table.model} ({table.engine}), each slice a study of its own, 95 % intervals")
    for heading in ("pictures", "files", "refused", "read", *(call.replace("_", " ") for call in CALLS)):
        is_name = heading == "pictures"
        shown.add_column(heading, justify="left" if is_name else "right", no_wrap=not is_name)
    for group in table.groups:
        shares = [group.share(call) for call in CALLS]
        cells = ["-" if share is None else f"{share[0]:.2f} ({share[1][0]:.2f}-{share[1][1]:.2f})" for share in shares]
        shown.add_row(group.name, str(group.files), str(group.refused), str(group.read), *cells)
    console = Console()
    # a pipe has no width, and rich then takes 80 columns
    (console if console.is_terminal else Console(width=PIPE_COLUMNS)).print(shown)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when measured, 2 with one sentence when it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress_table", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dicom", type=Path, required=True, help=f"folder with {MANIFEST} and the files it lists")
    parser.add_argument("--model", type=Path, help="model folder; without, the worker's own")
    parser.add_argument("--engine", type=EngineName, choices=list(EngineName), default=EngineName.OPENVINO)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--write", action="store_true", help="write stress.json and MODEL_CARD.md into the model folder"
    )
    parsed = parser.parse_args(arguments)
    model = parsed.model or Settings().model_folder
    try:
        table = measure(load_predictor(model, parsed.engine), parsed.dicom)
        if parsed.write:
            table.write(model)
            if (model / METRICS).is_file():
                write_model_card(model)
    except (StressDataError, ModelFolderError, EngineError) as error:
        print(f"benchmarks.stress_table: {error}", file=sys.stderr)
        return 2
    if parsed.json:
        print(json.dumps(table.as_json()))
    else:
        print_table(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
