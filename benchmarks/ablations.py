"""What each ingredient of the recipe is good for: small trainings, one without each, all measured alike.

Every row is a run of `trainer.fit` on the same images with the same seed, measured as `benchmarks.decision_table` does:
on Val, on Val as other scanners would show it, and on the scans of other hospitals. Started again with the same `--out`
it goes on where it was. One seed a row: a difference of a point or two is noise.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from rich.progress import track
from rich.table import Table

from benchmarks.decision_table import Pictures, Row, load, measure, pictures_of_other_hospitals, sets_of_val
from benchmarks.stress_table import IMAGE_MANIFEST, StressDataError
from trainer.arguments import positive_integer, seed_number
from trainer.export import ExportError
from trainer.final_test import TEST
from trainer.fit import main as fit
from trainer.labels import DatasetError
from trainer.shifted_sets import AS_THEY_ARE, LESIONS_FAINT, LESIONS_MOVED
from trainer.terminal import PROGRESS, result_console

LEFT_OUT: tuple[tuple[str, ...], ...] = (
    (),
    ("counterfactuals",),
    ("looks",),
    ("style-mixing",),
    ("cutting-to-head",),
    ("counterfactuals", "looks", "style-mixing", "look-balance", "cutting-to-head"),
)
"""What each row is trained without."""


class AblationError(Exception):
    """A training of a row failed; it has said why."""


@dataclass(frozen=True)
class Opinions:
    """AUC, tumour against none, of the classifier of the whole image and of the best box."""

    classifier: float
    best_box: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Opinions":
        """The means over sets that hold tumours and others."""
        return cls(
            fmean(row.classifier for row in rows if row.classifier is not None),
            fmean(row.best_box for row in rows if row.best_box is not None),
        )


@dataclass(frozen=True)
class Ablation:
    """One training.

    Attributes:
        without: ingredients left out.
        accuracy: of the classifier on Val, four classes.
        val: on Val as it is.
        other_looks: the mean over Val in the looks of other scanners.
        lesions_moved: on slices of Val whose lesion was taken out, or that were given one; `None` where none can be.
        lesions_faint: on Val with lesions faint, or dark where they were bright; likewise.
        other_hospitals: `None` where there are no such pictures.
    """

    without: tuple[str, ...]
    accuracy: float
    val: Opinions
    other_looks: Opinions
    lesions_moved: Opinions | None
    lesions_faint: Opinions | None
    other_hospitals: Opinions | None


def train(without: Sequence[str], parsed: argparse.Namespace) -> Path:
    """Train one row, or go on with it; returns the run folder.

    Raises:
        AblationError: the training failed.
    """
    folder: Path = parsed.out / ("-".join(["without", *without]) if without else "all")
    command = ["--data", str(parsed.data), "--run", str(folder), "--seed", str(parsed.seed)]
    for option in ("limit", "size", "epochs"):
        command += [f"--{option}", str(getattr(parsed, option))]
    if parsed.weights is not None:
        command += ["--weights", str(parsed.weights)]
    if parsed.scratch:
        command += ["--scratch"]
    if without:
        command += ["--without", *without]
    if fit(command) != 0:
        raise AblationError(f"{folder}: the training did not end well.")
    return folder


def measured(
    folder: Path, without: tuple[str, ...], pictures: Sequence[Pictures], elsewhere: Pictures | None
) -> Ablation:
    """Measure a finished run.

    Args:
        folder: the run folder.
        without: what it was trained without.
        pictures: Val and its shifted sets.
        elsewhere: scans of other hospitals.
    """
    predictor = load(folder)
    rows = {
        each.name: measure(str(folder), predictor, each)
        for each in track(pictures, f"reading with {folder}", console=PROGRESS, transient=True)
    }
    as_they_are = rows.pop(AS_THEY_ARE)
    moved, faint = (rows.pop(name, None) for name in (LESIONS_MOVED, LESIONS_FAINT))
    other_hospitals = None if elsewhere is None else measure(str(folder), predictor, elsewhere)

    def opinions(row: Row | None) -> Opinions | None:
        return None if row is None else Opinions.of([row])

    return Ablation(
        without,
        json.loads((folder / TEST).read_text())["test_accuracy"],
        Opinions.of([as_they_are]),
        Opinions.of(list(rows.values())),
        opinions(moved),
        opinions(faint),
        opinions(other_hospitals),
    )


def print_table(ablations: Sequence[Ablation]) -> None:
    """The table for people."""
    shown = Table(title="AUC, tumour against none: classifier / best box")
    for heading in ("without", "accuracy", "Val", "other looks", "lesions moved", "lesions faint", "other hospitals"):
        shown.add_column(heading, justify="left" if heading == "without" else "right")
    for each in ablations:
        sets = (each.val, each.other_looks, each.lesions_moved, each.lesions_faint, each.other_hospitals)
        cells = ("–" if found is None else f"{found.classifier:.3f} / {found.best_box:.3f}" for found in sets)
        shown.add_row(", ".join(each.without) or "nothing", f"{each.accuracy:.3f}", *cells)
    result_console().print(shown)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m benchmarks.ablations`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--weights", type=Path, help="ImageNet ResNet-50 weights (default: torchvision's)")
    parser.add_argument("--scratch", action="store_true", help="start from random weights, for trials")
    parser.add_argument("--images", type=Path, help=f"folder with {IMAGE_MANIFEST} and pictures of other hospitals")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"), help="run folders and ablations.json")
    parser.add_argument("--limit", type=positive_integer, default=300, help="images of each class to train on")
    parser.add_argument("--size", type=positive_integer, default=128, help="side of the network input")
    parser.add_argument("--epochs", type=positive_integer, default=16)
    parser.add_argument("--seed", type=seed_number, default=1)
    parser.add_argument("--json", action="store_true", help="print ablations.json instead of a table")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when every row is trained and measured, 2 with one sentence when it cannot be."""
    parsed = parse_arguments(arguments)
    try:
        elsewhere = pictures_of_other_hospitals(parsed.images)[0] if parsed.images else None
        folders = [train(without, parsed) for without in LEFT_OUT]
        pictures = sets_of_val(parsed.data)
        ablations = [
            measured(folder, without, pictures, elsewhere) for folder, without in zip(folders, LEFT_OUT, strict=True)
        ]
    except (AblationError, DatasetError, StressDataError, ExportError) as error:
        print(f"benchmarks.ablations: {error}", file=sys.stderr)
        return 2
    protocol = {name: getattr(parsed, name) for name in ("limit", "size", "epochs", "seed")}
    found = json.dumps({"protocol": protocol, "ablations": [asdict(each) for each in ablations]}, indent=2)
    (parsed.out / "ablations.json").write_text(found + "\n")
    if parsed.json:
        print(found)
    else:
        print_table(ablations)
    return 0


if __name__ == "__main__":
    sys.exit(main())
