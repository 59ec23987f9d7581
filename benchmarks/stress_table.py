"""What the model answers on other scanners' heads and on what is no brain at all: shares called tumour, urgent, review.

Every file goes the way of `python -m worker predict`: the worker's intake reads or refuses it, and the worker's
analysis and triage answer. The one difference: **each slice is a study of its own**. A study is judged by neighbouring
slices together, and a row holds one or two studies, so there would be no share to speak of; by slices, a share says how
often a single picture misleads.

Slices with the same pixels count once. The slices of a study resemble each other, so intervals count studies, and a row
of one study has none. No weight is fitted on the pictures; docs/evaluation.md says which choices were made with them in
sight.
"""

import argparse
import csv
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.progress import track
from rich.table import Table

from trainer.engine_comparison import EngineComparison
from trainer.intervals import Shares
from trainer.metrics import Metrics
from trainer.model_card import OtherTables, drawn_pictures, model_card
from trainer.runtime.bundle import METRICS, MODEL_CARD, ModelFolderError, write_whole
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import BATCH_SIZE, EngineName, Predictor, load_predictor
from trainer.runtime.records import TumorClass
from trainer.stress import HEADINGS, StressCount, StressGroup, StressTable
from trainer.terminal import PROGRESS, result_console
from worker.domain import Priority, StudyKind
from worker.errors import RejectedError
from worker.intake import DEFAULT_LIMITS, read_instance, sha256_of
from worker.predict import InputFile, StudyLine, StudyStatus, Unit, predict_units
from worker.settings import Settings

DICOM_MANIFEST, IMAGE_MANIFEST = "MANIFEST.csv", "manifest.csv"


class StressDataError(Exception):
    """The folder of pictures cannot be used; the message says why."""


@dataclass(frozen=True)
class Kind:
    """A row of the table: DICOM files of these folders whose manifest line has one of these words.

    Attributes:
        name: what they show.
        folders: names of folders.
        words: looked for in the column "exercises"; none: every file of the folders.
        slices: number at the end of the file's name; none: every file of the folders.
    """

    name: str
    folders: frozenset[str]
    words: tuple[str, ...] = ()
    slices: frozenset[int] = frozenset()

    def holds(self, row: Mapping[str, str]) -> bool:
        """Whether a line of the manifest belongs here."""
        if row["file"].partition("/")[0] not in self.folders:
            return False
        if self.slices and int(Path(row["file"]).stem.rpartition("-")[2]) not in self.slices:
            return False
        return not self.words or any(word in row["exercises"] for word in self.words)


def _kind(name: str, *folders: str, words: tuple[str, ...] = (), slices: Sequence[int] = ()) -> Kind:
    return Kind(name, frozenset(folders), words, frozenset(slices))


# Slices of the patient with a lesion, by eye on the FLAIR series (nobody here is a radiologist); T2 and T1 have the
# same numbers at the same heights. The study's own masks of two slices agree: 9 is marked, 14 is empty. In neither
# range: bright signal below the skull at the upper rim (1 to 5), and faint or unclear signal (13 to 16).
LESION_IN_VIEW, NO_LESION_IN_VIEW = range(6, 13), range(17, 23)
FLAIR, T2_AND_T1 = ("series-flair-philips-lesion",), ("series-t2-philips-lesion", "series-t1-philips-lesion")

# the first that holds decides
KINDS = (
    _kind("healthy T1, axial, 10 slices of a scan", "series-t1-axial"),
    _kind("the same scan, 26 slices 2 apart", "series-t1-axial-dense"),
    _kind("healthy T1, sagittal, child of 3", "series-t1-sagittal-siemens"),
    _kind("one patient, FLAIR: lesion in view", *FLAIR, slices=LESION_IN_VIEW),
    _kind("the same, FLAIR: no lesion in view", *FLAIR, slices=NO_LESION_IN_VIEW),
    _kind("the same, FLAIR: not clear which", *FLAIR),
    _kind("the same, T2 and T1: lesion in view", *T2_AND_T1, slices=LESION_IN_VIEW),
    _kind("the same, T2 and T1: no lesion in view", *T2_AND_T1, slices=NO_LESION_IN_VIEW),
    _kind("the same, T2 and T1: not clear which", *T2_AND_T1),
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

SEQUENCES = {"T1C+": "T1 with contrast"}
ENGLISH = {
    "ependimoma": "ependymoma",
    "meduloblastoma": "medulloblastoma",
    "neurocitoma": "neurocytoma",
    "papiloma": "papilloma",
}
"""The collection names some kinds in Portuguese."""

Line = TypeVar("Line")

Kinds = dict[str, list[Path]]
"""Files by the name of their row, in the order of the table."""


def read_manifest(path: Path, read: Callable[[Mapping[str, str]], Line]) -> list[Line]:
    """What `read` makes of every line of a manifest, which it is given by column.

    Raises:
        StressDataError: it is missing, or not a list of files.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [read(row) for row in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise StressDataError(f"{path.parent} holds no {path.name}.") from error
    except KeyError as error:
        raise StressDataError(f"{path} has no column {error}.") from error
    except (OSError, UnicodeError, ValueError) as error:
        raise StressDataError(f"{path} is not a list of files: {error}.") from error


def read_dicom_manifest(folder: Path) -> Kinds:
    """The files that MANIFEST.csv lists (columns "file" and "exercises"), in the order of `KINDS`.

    Raises:
        StressDataError: the manifest is missing, or not a list of files.
    """

    def place(row: Mapping[str, str]) -> tuple[str, Path]:
        return next((kind.name for kind in KINDS if kind.holds(row)), ELSE), folder / row["file"]

    found: Kinds = {name: [] for name in (*(kind.name for kind in KINDS), ELSE)}
    for name, path in read_manifest(folder / DICOM_MANIFEST, place):
        found[name].append(path)
    return {name: paths for name, paths in found.items() if paths}


def read_image_manifest(folder: Path) -> Kinds:
    """The pictures SET/FILE that manifest.csv lists (columns "set", "file", "label", "detail"): healthy, known, others.

    Raises:
        StressDataError: the manifest is missing, or not a list of files.
    """

    def place(row: Mapping[str, str]) -> tuple[str, Path]:
        return image_kind(row["label"], row["detail"]), folder / row["set"] / row["file"]

    found: Kinds = {}
    for name, path in sorted(read_manifest(folder / IMAGE_MANIFEST, place), key=lambda line: _image_order(line[0])):
        found.setdefault(name, []).append(path)
    return found


def image_kind(label: str, detail: str) -> str:
    """The row of a picture: class and sequence where the model knows the class, otherwise what it shows and sequence.

    Args:
        label: one of the classes, or another word.
        detail: diagnosis and sequence, such as "Astrocitoma T1C+".
    """
    diagnosis, _, sequence = detail.rpartition(" ")
    if label == TumorClass.NO_TUMOR:
        shown = "healthy, several cases,"
    elif label in set(TumorClass):
        shown = f"{label.lower()},"
    else:
        shown = f"{ENGLISH.get(diagnosis.lower(), diagnosis.lower())} (no class of the model),"
    return f"{shown} {SEQUENCES.get(sequence, sequence)}"


def _image_order(name: str) -> tuple[bool, bool, str]:
    """Healthy ones first, kinds without a class last."""
    return "healthy" not in name, "no class" in name, name


@dataclass(frozen=True)
class AnsweredFile:
    """A file, and what became of it.

    Attributes:
        line: as `predict --json` prints it.
        picture: digest of the pixels as read; `None` where it was refused.
        study: its StudyInstanceUID; `None` where it was refused or is a plain picture, which names no study.
    """

    line: StudyLine
    picture: str | None
    study: str | None


def answers(predictor: Predictor, paths: Sequence[Path]) -> Iterator[AnsweredFile]:
    """What became of every file, in order, each a study of its own."""
    units = [Unit([InputFile(path, str(path))]) for path in paths]
    lines = predict_units(units, predictor, DEFAULT_LIMITS, BATCH_SIZE, Settings().max_series)
    for path, line in zip(paths, lines, strict=True):
        yield AnsweredFile(line, *_identity(path)) if line.status is StudyStatus.OK else AnsweredFile(line, None, None)


def _identity(path: Path) -> tuple[str, str | None]:
    """Digest of a readable file's pixels, and its study."""
    read = read_instance(path, sha256_of(path, DEFAULT_LIMITS.max_file_bytes))
    digest = hashlib.sha256(repr(read.pixels.shape).encode() + read.pixels.tobytes()).hexdigest()
    return digest, read.header.study_uid if read.header.kind is StudyKind.DICOM else None


def count(name: str, files: Sequence[AnsweredFile]) -> StressGroup:
    """One row of the table."""
    refusals = Counter(file.line.reason.value for file in files if file.line.reason is not None)
    different = list({file.picture: file for file in files if file.picture is not None}.values())
    studies = {file.study for file in different}
    is_stated = None not in studies
    # pictures without a study count as unrelated, for want of knowing better
    names = [file.study or file.picture for file in different]
    shares = Shares(np.unique(np.array(names, np.str_), return_inverse=True)[1])

    def counted(is_so: Callable[[StudyLine], bool]) -> StressCount:
        so = np.array([is_so(file.line) for file in different], np.bool_)
        estimate = None if len(studies) == 1 and is_stated else shares.estimate(so)
        return StressCount(int(so.sum()), None if estimate is None else (estimate.low, estimate.high))

    return StressGroup(
        name=name,
        files=len(files),
        refusals=dict(sorted(refusals.items())),
        pictures=len(different),
        studies=len(studies) if is_stated else None,
        called_tumour=counted(lambda line: line.label is not TumorClass.NO_TUMOR),
        urgent=counted(lambda line: line.priority is Priority.URGENT),
        review=counted(lambda line: line.priority is Priority.REVIEW),
    )


def measure(predictor: Predictor, kinds: Kinds) -> StressTable:
    """Read every file and count, kind by kind."""
    progress = track(kinds.items(), "reading", console=PROGRESS, transient=True)
    groups = [count(name, list(answers(predictor, paths))) for name, paths in progress]
    bundle = predictor.bundle
    return StressTable(bundle.version, bundle.weights_sha256, bundle.calibration_sha256, predictor.engine_name, groups)


def publish(table: StressTable, metrics: Metrics | None, folder: Path) -> None:
    """Write stress.json and, where the model was measured on Val, MODEL_CARD.md into a model folder, or nothing.

    Raises:
        ModelFolderError: the folder is broken, or its metrics.json is of other weights or another calibration.
    """
    if metrics is None:
        table.write(folder)
        return
    card = model_card(folder, metrics, OtherTables(table, EngineComparison.read(folder)), drawn_pictures(folder))
    table.write(folder)
    write_whole(folder / MODEL_CARD, card)


def print_table(table: StressTable) -> None:
    """The table for people."""
    shown = Table(title=f"{table.model} ({table.engine}), each slice a study of its own, 95 % intervals")
    for heading in HEADINGS:
        is_name = heading == HEADINGS[0]
        shown.add_column(heading, justify="left" if is_name else "right", no_wrap=not is_name)
    for group in table.groups:
        shown.add_row(*group.cells())
    result_console().print(shown)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m benchmarks.stress_table`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress_table", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--dicom", type=Path, metavar="FOLDER", help=f"folder with {DICOM_MANIFEST} and the files it lists"
    )
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help=f"folder with {IMAGE_MANIFEST} and the pictures it lists"
    )
    parser.add_argument("--model", type=Path, help="model folder; without, the worker's own")
    parser.add_argument("--engine", type=EngineName, choices=list(EngineName), default=EngineName.OPENVINO)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--write", action="store_true", help="write stress.json and MODEL_CARD.md into the model folder"
    )
    parsed = parser.parse_args(arguments)
    if not (parsed.dicom or parsed.images):
        parser.error("name at least one folder: --dicom FOLDER, --images FOLDER")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when measured, 2 with one sentence when it cannot be."""
    parsed = parse_arguments(arguments)
    model = parsed.model or Settings().model_folder
    try:
        predictor = load_predictor(model, parsed.engine)
        # a broken one is told before minutes of measuring
        metrics = Metrics.read(model) if parsed.write and (model / METRICS).is_file() else None
        kinds = read_dicom_manifest(parsed.dicom) if parsed.dicom else {}
        kinds |= read_image_manifest(parsed.images) if parsed.images else {}
        table = measure(predictor, kinds)
        if parsed.write:
            publish(table, metrics, model)
    except (StressDataError, ModelFolderError, EngineError, RejectedError, OSError) as error:
        print(f"benchmarks.stress_table: {error}", file=sys.stderr)
        return 2
    if parsed.json:
        print(json.dumps(table.as_json()))
    else:
        print_table(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
