"""How often a box that is drawn marks a lesion, beside its score and the probability that the report gives it.

On Val, which neither the network nor its calibration has seen (of a leak-free model). A box marks a lesion where it
overlaps one by `HIT_IOU`; those on normal glands and on images whose lesions nobody boxed do not count.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
from rich.table import Table

from trainer.average_precision import tumor_truth
from trainer.labels import DatasetError, Split, list_samples
from trainer.readings import ReadSample, answers, read_samples
from trainer.runtime.boxes import iou_matrix
from trainer.runtime.bundle import ModelFolderError
from trainer.runtime.decision import Calibration, lesion_probability
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, load_predictor
from trainer.terminal import result_console

HIT_IOU = 0.3
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 1.0)
"""Of the rows, in scores."""


@dataclass(frozen=True)
class DrawnBox:
    """A box of an answer: its score, what the report makes of it, and whether a lesion is there."""

    score: float
    probability: float
    is_hit: bool


@dataclass(frozen=True)
class Row:
    """Boxes with scores from `least` up to `most`: how many, their means, and the share that marks a lesion."""

    least: float
    most: float
    boxes: int
    score: float
    probability: float
    hits: float


def drawn_boxes(reads: Sequence[ReadSample], calibration: Calibration) -> list[DrawnBox]:
    """Every box of the answers, but for those of images whose lesions are not boxed, and those on normal glands."""
    found = []
    for read, answer in zip(reads, answers(reads, calibration), strict=True):
        truths = tumor_truth(read)
        if truths is None or not answer.boxes:
            continue
        marked = np.array([truth.xyxy for truth in truths], np.float32).reshape(-1, 4)
        overlaps = iou_matrix(np.array([box.xyxy for box in answer.boxes], np.float32), marked) >= HIT_IOU
        ignored = np.array([truth.ignore for truth in truths], bool)
        for box, over in zip(answer.boxes, overlaps, strict=True):
            is_hit = bool((over & ~ignored).any())
            if is_hit or not (over & ignored).any():
                found.append(DrawnBox(box.score, lesion_probability(box.score, calibration), is_hit))
    return found


def rows_of(boxes: Iterable[DrawnBox]) -> list[Row]:
    """The table: a row for each range of scores that any box lies in, and the last one for all."""
    boxes = list(boxes)
    ranges = [*pairwise(EDGES), (EDGES[0], EDGES[-1])]
    within = [
        (least, most, [box for box in boxes if least <= box.score < most or box.score == most == 1])
        for least, most in ranges
    ]
    return [
        Row(
            least,
            most,
            len(found),
            fmean(box.score for box in found),
            fmean(box.probability for box in found),
            fmean(box.is_hit for box in found),
        )
        for least, most, found in within
        if found
    ]


def print_table(rows: Iterable[Row]) -> None:
    """For people."""
    table = Table("score", "boxes", "mean score", "mean probability", "mark a lesion")
    for row in rows:
        figures = (f"{value:.3f}" for value in (row.score, row.probability, row.hits))
        table.add_row(f"{row.least:.1f} to {row.most:.1f}", f"{row.boxes}", *figures)
    result_console().print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when measured, 2 with one sentence when it cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.box_table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--json", action="store_true", help="JSON for scripts")
    parsed = parser.parse_args(arguments)
    try:
        predictor = load_predictor(parsed.model, EngineName.OPENVINO)
        reads, _ = read_samples(predictor, list_samples(parsed.data, Split.VAL), "reading Val")
    except (DatasetError, ModelFolderError, EngineError) as error:
        print(f"benchmarks.box_table: {error}", file=sys.stderr)
        return 2
    rows = rows_of(drawn_boxes(reads, predictor.bundle.calibration))
    if parsed.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
