"""Who tells tumours best: the classifier alone, the best box alone, or the answer made of both.

Area under the ROC curve, tumour against none, of models or training runs on Val, on Val as other sequences and scanners
would show it (`trainer.shifted_sets`), and on the scans of other hospitals. Nothing is chosen
here.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmarks.stress_table import IMAGE_MANIFEST, SEQUENCES, StressDataError, read_manifest
from trainer.export import ExportError, read_run
from trainer.grey import read_grey
from trainer.labels import DatasetError, Split, list_samples
from trainer.runtime.bundle import MANIFEST, ModelFolderError
from trainer.runtime.decision import Calibration, fuse, weigh
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, Predictor, load_predictor
from trainer.runtime.records import CLASSES, NO_TUMOR_INDEX, GreyImage
from trainer.shifted_sets import shifted_sets
from trainer.terminal import PROGRESS, result_console
from trainer.uncalibrated import uncalibrated_predictor

SHORT_NAMES = ("T1", "T1C+", "T2")


@dataclass(frozen=True)
class Pictures:
    """A named set of pictures: `n` grey images, and whether each shows a tumour `(n,)`."""

    name: str
    images: Sequence[GreyImage]
    tumor: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """AUC, tumour against none, of each opinion on one set; `None` where it holds one of the two only.

    `answer` is `None` of a run folder, too: it is not calibrated.
    """

    model: str
    pictures: str
    tumors: int
    others: int
    classifier: float | None
    best_box: float | None
    answer: float | None


def load(folder: Path) -> Predictor:
    """A model folder as it is; a run folder under torch, with a calibration that is none.

    Raises:
        ExportError, ModelFolderError, EngineError: the folder is neither, or broken.
    """
    if (folder / MANIFEST).is_file():
        return load_predictor(folder, EngineName.OPENVINO)
    run = read_run(folder, unfinished=True)
    return uncalibrated_predictor(folder, run.weights, run.input_size, run.cut_to_head)


def sets_of_val(data: Path) -> list[Pictures]:
    """Val as it is and as others would show it, named as `trainer.shifted_sets` does.

    Raises:
        DatasetError: Val is missing or empty, or an image cannot be read.
    """
    made = shifted_sets(list_samples(data, Split.VAL), cut_to_head=False)
    return [Pictures(name, each.images, each.class_indices != NO_TUMOR_INDEX) for name, each in made.items()]


def pictures_of_other_hospitals(folder: Path) -> list[Pictures]:
    """All with a class of the model, then sequence by sequence; contrast T1, where no healthy scan is, beside T1.

    Raises:
        StressDataError: the manifest is missing, or not a list of files.
        DatasetError: a picture cannot be read.
    """

    def read(row: Mapping[str, str]) -> tuple[Path, str, str]:
        return folder / row["set"] / row["file"], row["label"], row["detail"].rpartition(" ")[2]

    lines = [line for line in read_manifest(folder / IMAGE_MANIFEST, read) if line[1] in CLASSES]
    images = [read_grey(path) for path, _, _ in lines]
    tumor = np.array([label != CLASSES[NO_TUMOR_INDEX] for _, label, _ in lines])
    sequence = np.array([short for _, _, short in lines])
    found = [Pictures("other hospitals", images, tumor)]
    for short in SHORT_NAMES:
        healthy_of = short if (~tumor & (sequence == short)).any() else "T1"
        rows = np.flatnonzero((tumor & (sequence == short)) | (~tumor & (sequence == healthy_of)))
        found.append(
            Pictures(f"other hospitals, {SEQUENCES.get(short, short)}", [images[row] for row in rows], tumor[rows])
        )
    return found


def _auc(scores: npt.NDArray[np.float64], tumor: npt.NDArray[np.bool_]) -> float | None:
    return float(roc_auc_score(tumor, scores)) if tumor.any() and not tumor.all() else None


def measure(model: str, predictor: Predictor, pictures: Pictures) -> Row:
    """Read every picture and rank them by each opinion; what is not calibrated has no answer."""
    calibration, scores = predictor.bundle.calibration, []
    is_calibrated = calibration != Calibration()
    for reading in predictor.detect(pictures.images):
        evidence = weigh(reading.class_logits, reading.detections, calibration.class_temperature)
        answer = 1 - fuse(evidence, calibration, reading.novelty)[NO_TUMOR_INDEX]
        scores.append((evidence.classifier, evidence.box, answer))
    columns = np.array(scores, np.float64).T
    tumor = pictures.tumor
    classifier, best_box, answer_made_of_both = (_auc(each, tumor) for each in columns)
    counts = int(tumor.sum()), int((~tumor).sum())
    return Row(model, pictures.name, *counts, classifier, best_box, answer_made_of_both if is_calibrated else None)


def print_table(rows: Sequence[Row]) -> None:
    """The table for people."""
    shown = Table(title="AUC, tumour against none")
    for heading in ("model", "pictures", "tumours", "others", "classifier", "best box", "answer"):
        shown.add_column(heading, justify="left" if heading in ("model", "pictures") else "right")
    for row in rows:
        cells = ("–" if value is None else f"{value:.3f}" for value in (row.classifier, row.best_box, row.answer))
        shown.add_row(row.model, row.pictures, str(row.tumors), str(row.others), *cells)
    result_console().print(shown)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m benchmarks.decision_table`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decision_table", description=__doc__.split("\n\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="model folder, or run of trainer.fit")
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Val/")
    parser.add_argument(
        "--images", type=Path, help=f"folder with {IMAGE_MANIFEST} and the pictures of other hospitals it lists"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when measured, 2 with one sentence when it cannot be."""
    parsed = parse_arguments(arguments)
    try:
        pictures = [replace(each, name=f"Val, {each.name}") for each in sets_of_val(parsed.data)]
        pictures += pictures_of_other_hospitals(parsed.images) if parsed.images else []
        rows = []
        for folder in parsed.folders:
            predictor = load(folder)
            title = f"reading with {folder}"
            rows += [measure(str(folder), predictor, each) for each in track(pictures, title, console=PROGRESS)]
    except (DatasetError, StressDataError, ExportError, ModelFolderError, EngineError) as error:
        print(f"benchmarks.decision_table: {error}", file=sys.stderr)
        return 2
    if parsed.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
