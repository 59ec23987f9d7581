"""MODEL_CARD.md, written from the other files of a model folder: no number is typed by hand."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.engine_comparison import ENGINES, HEADINGS, EngineComparison, table_rows
from trainer.fusion import BOX_LEAD
from trainer.runtime.bundle import (
    HELD_OUT_FILES,
    METRICS,
    MODEL_CARD,
    TRAINING_FILES,
    WEIGHTS,
    Manifest,
    read_calibration,
    read_manifest,
)
from trainer.runtime.decision import CLASSIFIER_LIMIT
from trainer.runtime.records import CLASSES, LESION_CLASSES
from trainer.stress import CALLS, STRESS, StressGroup, StressTable

Figures = Mapping[str, Any]

FIGURES = "figures"
"""Folder of pictures in the model folder, written by `python -m trainer.evaluate --write`."""
RELIABILITY, WORST_ERRORS = "reliability.png", "worst-errors.jpg"

_PURPOSE = """\
Research use only. This is not a medical device: nobody has cleared it for diagnosis, and no one may be treated or
sent home on its word.

The model looks at one grey MR slice of a head. It answers Glioma, Meningioma, Pituitary (tumour) or No Tumor, and boxes
the lesions it sees. The boxes lead the answer; a classifier of the whole picture is the second opinion, and where the
two contradict each other the slice goes to a person.
"""

_TERMS = """\
- Data: "MRI for Brain Tumor with Bounding Boxes" (Kaggle). Its licence is not stated where it was found, so these
  weights are for research use and are not under the licence of the code.
- Start weights of the ResNet-50 body: ImageNet (`trainer.fit --weights`, or torchvision's), unless trained with
  `--scratch`.
"""

_STRESS = """\
`python -m benchmarks.stress_table`: every file through the worker's intake, every slice that is read answered as a
study of its own. Shares are of the slices read; slices of one patient resemble each other, so the intervals (Wilson)
are too narrow for another patient. Called a tumour: the most likely class is one. Urgent: P(tumour) at or above the
operating point. Sent to review: not urgent, with a reason why a person should look.
"""

_ENGINES = """\
`python -m trainer.compare_engines`: each engine's answers beside those of the float32 network under torch, on a CPU.
Ratios are against torch eager in the same run, in batches and image by image; decoding is not in them.
"""

_LIMITS = """\
- One public collection of slices, without patient identifiers: slices of one patient may stand on both sides of a
  split unless they look alike. Val is small; read the intervals.
- Tumour images of the collection are mostly contrast T1, tumour-free ones mostly other sequences. A network can learn
  that instead of the lesion; expect much lower figures on another hospital's images, and measure them first.
- Other lesions (metastases, bleeding, infarcts, infection), children, images after surgery, skull-stripped or strongly
  processed images were not trained on.
- The box of a normal pituitary gland is learnt apart and never drawn; in the labels the two are not always told apart.
- "No Tumor" is not "healthy".
"""


_DECISION_COLUMNS = {"precision": "precision", "recall": "recall", "f1": "F1"}
_BOX_COLUMNS = {
    "map50_tumour": "AP50 tumour",
    "map_tumour": "AP50-95 tumour",
    "map50": "AP50 as published",
    "map": "AP50-95 as published",
}


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _with_interval(figures: Figures, name: str) -> str:
    value, interval = figures[name], figures[f"{name}_ci95"]
    return _share(value) if interval is None else f"{_share(value)} ({interval[0]:.3f}–{interval[1]:.3f})"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def overview(metrics: Figures) -> str:
    """The main figures of metrics.json as a Markdown table."""
    columns = [figures for figures in (metrics["val"], metrics["val_clean"]) if figures]
    titles = ["all of Val", "Val without a look-alike in Train"]
    # the second column looks like nothing in Train, whatever the model was trained on
    protocols = [metrics["protocol"], "leak-free"]
    rows = [
        ["protocol", *protocols[: len(columns)]],
        ["images", *(str(figures["images"]) for figures in columns)],
    ]
    for title, name in (
        ("accuracy, four classes", "accuracy"),
        ("accuracy of the classifier alone", "classifier_accuracy"),
        ("sensitivity at the operating point", "sensitivity"),
        ("specificity at the operating point", "specificity"),
        ("mAP50, tumours (normal glands ignored)", "map50_tumour"),
        ("mAP50-95, tumours", "map_tumour"),
        ("mAP50, all tumour and gland lines as published", "map50"),
        ("mAP50-95, as published", "map"),
        ("calibration error (15 bins) of the raw classifier", "ece_uncalibrated"),
        ("calibration error, classifier after temperature scaling", "ece_classifier"),
        ("calibration error of the answer", "ece"),
        ("share with a low margin", "low_margin_share"),
        ("share with a classifier that disagrees", "disagreement_share"),
    ):
        rows.append([title, *(_with_interval(figures, name) for figures in columns)])
    return _table(["with 95 % interval", *titles[: len(columns)]], rows)


def _leakage(metrics: Figures) -> str:
    found = metrics["trained_look_alikes_of_val"]
    if found is None:
        return "Whether images the model was trained on look like Val images was not checked: Train was not there.\n"
    if found == 0:
        return (
            "None of the images the model was trained on looks like a Val image (perceptual hash, mirror images\n"
            "counted): these are figures of the leak-free protocol.\n"
        )
    return (
        f"**{found} of the images the model was trained on look like a Val image: these are figures of the published,\n"
        "leaky protocol. They are too good, and serve comparison with other published figures only.**\n"
    )


def _per_class(figures: Figures, columns: Mapping[str, str], classes: Sequence[str]) -> str:
    """A table with a row a class; `columns` are headings by the name of the figure."""
    found = figures["per_class"]
    rows = [
        [label, str(found[label]["images"]), *(_with_interval(found[label], name) for name in columns)]
        for label in classes
    ]
    return _table(["class", "images", *columns.values()], rows)


def _intervals(figures: Figures) -> str:
    return (
        "Intervals of shares are Wilson's; those of F1, average precision and calibration error are the middle 95 %\n"
        f"of {figures['bootstrap_resamples']} bootstrap draws of images.\n"
    )


def _confusion(figures: Figures) -> str:
    rows = [
        [f"**{label}**", *map(str, counts)] for label, counts in zip(CLASSES, figures["confusion_matrix"], strict=True)
    ]
    return _table(["truth \\ answer", *CLASSES], rows)


def _pictures(folder: Path) -> Iterator[str]:
    if (folder / FIGURES / RELIABILITY).is_file():
        yield f"![How often answers of each certainty are right]({FIGURES}/{RELIABILITY})\n"
    if (folder / FIGURES / WORST_ERRORS).is_file():
        yield (
            f"![The worst answers on Val, with their boxes]({FIGURES}/{WORST_ERRORS})\n\n"
            "The pictures are of the data set, for research use like it (below).\n"
        )


def _stress(folder: Path, manifest: Manifest) -> Iterator[str]:
    """The stress table, where it was measured, and measured with these weights."""
    table = StressTable.read(folder)
    if table is None:
        return
    yield f"## Other scanners and other pictures\n\n{_STRESS}"
    if table.weights_sha256 != manifest.files[WEIGHTS]:
        yield f"`{STRESS}` was measured with other weights: measure it again.\n"
        return
    rows = [
        [group.name, str(group.files), str(group.refused), *(_stress_share(group, call) for call in CALLS)]
        for group in table.groups
    ]
    yield _table(["pictures", "files", "refused", "called a tumour", "urgent", "sent to review"], rows)


def _stress_share(group: StressGroup, call: str) -> str:
    share = group.share(call)
    return "–" if share is None else f"{share[0]:.2f} ({share[1][0]:.2f}–{share[1][1]:.2f})"


def _engines(folder: Path, manifest: Manifest) -> Iterator[str]:
    """The comparison of engines, where it was measured, and measured with these files."""
    found = EngineComparison.read(folder)
    if found is None:
        return
    yield f"## Engines\n\n{_ENGINES}"
    if not found.is_of(manifest.files):
        yield f"`{ENGINES}` was measured with other files: measure it again.\n"
        return
    yield _table(list(HEADINGS), list(table_rows(found.engines)))
    yield f"On {found.images} images of Val, {found.threads} threads of {found.processor}.\n"


def _images_by_class(path: Path) -> str:
    with path.open(newline="") as file:
        counts = Counter(row["name"].partition("/")[0] for row in csv.DictReader(file))
    each = ", ".join(f"{label} {counts[label]}" for label in CLASSES)
    return f"{counts.total()} images ({each}), listed in `{path.name}` with their sums"


def _decision(folder: Path) -> str:
    calibration = read_calibration(folder)
    rows = [[f"`{name}`", f"{value:.4g}"] for name, value in asdict(calibration).items()]
    return (
        "Fitted on the held-out images (`trainer.calibrate`). In units of what a tumour adds on average, the weight\n"
        f"of the boxes is at least {BOX_LEAD:g} × that of the classifier, whose log-odds are bounded at "
        f"±{CLASSIFIER_LIMIT:g}.\n\n" + _table(["value of `trainer.runtime.decision.Calibration`", ""], rows)
    )


def _provenance(manifest: Manifest, metrics: Figures) -> str:
    recipe = ", ".join(f"{name} {value}" for name, value in manifest.recipe.items() if not isinstance(value, dict))
    return (
        f"- version {manifest.version}, input {manifest.input_size} × {manifest.input_size} pixels"
        f"{', every image looked at twice (mirrored)' if manifest.flip_tta else ''}\n"
        f"- sha256 of `{WEIGHTS}`: `{manifest.files[WEIGHTS]}`\n"
        f"- recipe: {recipe}\n"
        f"- measured with the {metrics['engine']} engine at {metrics['images_per_second']:.1f} images per second\n"
    )


def _sections(folder: Path) -> Iterator[str]:
    manifest = read_manifest(folder)
    metrics = json.loads((folder / METRICS).read_text())
    yield f"# Model {manifest.version}\n\n{_PURPOSE}"
    yield "## How good it is\n\n" + overview(metrics) + "\n" + _leakage(metrics)
    yield _intervals(metrics["val"])
    yield "Every class, all of Val:\n\n" + _per_class(metrics["val"], _DECISION_COLUMNS, CLASSES)
    yield _per_class(metrics["val"], _BOX_COLUMNS, LESION_CLASSES)
    yield _confusion(metrics["val"])
    yield from _pictures(folder)
    yield from _stress(folder, manifest)
    yield from _engines(folder, manifest)
    yield f"## How it decides\n\n{_decision(folder)}"
    yield (
        "## What it learnt from\n\n"
        f"- trained on {_images_by_class(folder / TRAINING_FILES)}\n"
        f"- calibrated on {_images_by_class(folder / HELD_OUT_FILES)}\n{_TERMS}"
    )
    yield f"## Limits\n\n{_LIMITS}"
    yield f"## Provenance\n\n{_provenance(manifest, metrics)}"


def write_model_card(folder: Path) -> None:
    """Write MODEL_CARD.md of a model folder that has its metrics.json.

    Raises:
        ModelFolderError: the folder is broken.
    """
    (folder / MODEL_CARD).write_text("\n".join(_sections(folder)))
