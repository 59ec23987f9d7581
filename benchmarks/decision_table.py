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
from trainer.runtime.bundle import CALIBRATION, MANIFEST, WEIGHTS, ModelFolderError
from trainer.runtime.decision import (
    Calibration,
    caps_at_review,
    classifier_disagrees,
    decide,
    is_urgent,
    low_margin,
    weigh,
)
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, Predictor, load_predictor
from trainer.runtime.records import CLASSES, NO_TUMOR_INDEX, GreyImage, SlicePrediction
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

    `answer` and `tumors_left` are `None` of a run folder, too: it is not calibrated.

    Attributes:
        model: the folder.
        pictures: the name of the set.
        tumors: how many.
        others: how many.
        classifier: of the whole image.
        best_box_of_a_kind: by the score of its kind.
        best_box: by the score of a lesion of any kind, as the answer takes it.
        answer: of the model.
        tumors_left: share of the tumours that are not urgent, with nobody sent to look.
    """

    model: str
    pictures: str
    tumors: int
    others: int
    classifier: float | None
    best_box_of_a_kind: float | None
    best_box: float | None
    answer: float | None
    tumors_left: float | None


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
            Pictures(f"other hospitals, {_name(short, healthy_of)}", [images[row] for row in rows], tumor[rows])
        )
    return found


def _name(short: str, healthy_of: str) -> str:
    beside = "" if healthy_of == short else f", healthy {SEQUENCES.get(healthy_of, healthy_of)}"
    return f"{SEQUENCES.get(short, short)}{beside}"


def _auc(scores: npt.NDArray[np.float64], tumor: npt.NDArray[np.bool_]) -> float | None:
    return float(roc_auc_score(tumor, scores)) if tumor.any() and not tumor.all() else None


def measure(model: str, predictor: Predictor, pictures: Pictures) -> Row:
    """Read every picture and rank them by each opinion; what is not calibrated has no answer."""
    calibration, scores, left = predictor.bundle.calibration, [], []
    is_calibrated = calibration != Calibration()
    for reading in predictor.detect(pictures.images):
        evidence = weigh(reading.class_logits, reading.detections, calibration.class_temperature)
        prediction = decide(reading.class_logits, reading.detections, calibration, reading.novelty)
        scores.append((evidence.classifier, evidence.box_kinds.max(), evidence.box, prediction.tumor_probability))
        left.append(_nobody_looks(prediction, calibration))
    columns = np.array(scores, np.float64).T
    tumor = pictures.tumor
    classifier, best_box_of_a_kind, best_box, answer_made_of_both = (_auc(each, tumor) for each in columns)
    return Row(
        model,
        pictures.name,
        int(tumor.sum()),
        int((~tumor).sum()),
        classifier,
        best_box_of_a_kind,
        best_box,
        answer_made_of_both if is_calibrated else None,
        float(np.array(left)[tumor].mean()) if is_calibrated and tumor.any() else None,
    )


def _nobody_looks(prediction: SlicePrediction, calibration: Calibration) -> bool:
    if is_urgent(prediction, calibration) or caps_at_review(prediction, calibration):
        return False
    return not (low_margin(prediction.probabilities, calibration) or classifier_disagrees(prediction, calibration))


def print_table(rows: Sequence[Row]) -> None:
    """The table for people."""
    shown = Table(title="AUC, tumour against none")
    headings = ("tumours", "others", "classifier", "box of a kind", "best box", "answer", "tumours left")
    for heading in ("model", "pictures", *headings):
        shown.add_column(heading, justify="left" if heading in ("model", "pictures") else "right")
    for row in rows:
        values = (row.classifier, row.best_box_of_a_kind, row.best_box, row.answer, row.tumors_left)
        cells = ("–" if value is None else f"{value:.3f}" for value in values)
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
    parser.add_argument(
        "--json", action="store_true", help="print JSON instead of a table: the rows, and the sums of what was measured"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when measured, 2 with one sentence when it cannot be."""
    parsed = parse_arguments(arguments)
    try:
        pictures = [replace(each, name=f"Val, {each.name}") for each in sets_of_val(parsed.data)]
        pictures += pictures_of_other_hospitals(parsed.images) if parsed.images else []
        rows, sums = [], {}
        for folder in parsed.folders:
            predictor = load(folder)
            bundle = predictor.bundle
            sums[str(folder)] = {WEIGHTS: bundle.weights_sha256, CALIBRATION: bundle.calibration_sha256}
            title = f"reading with {folder}"
            rows += [measure(str(folder), predictor, each) for each in track(pictures, title, console=PROGRESS)]
    except (DatasetError, StressDataError, ExportError, ModelFolderError, EngineError) as error:
        print(f"benchmarks.decision_table: {error}", file=sys.stderr)
        return 2
    if parsed.json:
        print(json.dumps({"sums": sums, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
