"""MODEL_CARD.md, written from the other files of a model folder: no number is typed by hand."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from trainer.runtime.records import CLASSES

Figures = Mapping[str, Any]

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


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _with_interval(figures: Figures, name: str) -> str:
    low, high = figures[f"{name}_ci95"]
    return f"{_share(figures[name])} ({low:.3f}–{high:.3f})"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def overview(metrics: Figures) -> str:
    """The main figures of metrics.json as a Markdown table."""
    columns = [figures for figures in (metrics["val"], metrics["val_clean"]) if figures]
    titles = ["all of Val", "Val without a look-alike in Train"]
    rows = [["images", *(str(figures["images"]) for figures in columns)]]
    for title, name in (
        ("accuracy, four classes (95 % interval)", "accuracy"),
        ("sensitivity at the operating point", "sensitivity"),
        ("specificity at the operating point", "specificity"),
    ):
        rows.append([title, *(_with_interval(figures, name) for figures in columns)])
    for title, name in (
        ("accuracy of the classifier alone", "classifier_accuracy"),
        ("mAP50, tumours (normal glands ignored)", "map50_tumour"),
        ("mAP50-95, tumours", "map_tumour"),
        ("mAP50, all tumour and gland lines as published", "map50"),
        ("mAP50-95, as published", "map"),
        ("expected calibration error, 15 bins", "ece"),
        ("share with a low margin", "low_margin_share"),
        ("share with a classifier that disagrees", "disagreement_share"),
    ):
        rows.append([title, *(_share(figures[name]) for figures in columns)])
    return _table(["", *titles[: len(columns)]], rows)


def _leakage(metrics: Figures) -> str:
    found = metrics["trained_look_alikes_of_val"]
    if found is None:
        return "Whether images the model was trained on look like Val images was not checked: Train was not there.\n"
    if found == 0:
        return (
            "None of the images the model was trained on looks like a Val image (perceptual hash, mirror images\n"
            "counted): these are figures of the leak-free protocol.\n"
        )
    return f"**{found} of the images the model was trained on look like a Val image: the figures are too good.**\n"


def _per_class(figures: Figures) -> str:
    names = ("precision", "recall", "f1", "map50_tumour", "map_tumour", "map50", "map")
    found = figures["per_class"]
    rows = [[label, str(found[label]["images"]), *(_share(found[label][name]) for name in names)] for label in CLASSES]
    headings = ["class", "images", "precision", "recall", "F1", "AP50 tumour", "AP50-95 tumour", "AP50", "AP50-95"]
    return _table(headings, rows)


def _confusion(figures: Figures) -> str:
    rows = [
        [f"**{label}**", *map(str, counts)] for label, counts in zip(CLASSES, figures["confusion_matrix"], strict=True)
    ]
    return _table(["truth \\ answer", *CLASSES], rows)


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
    yield "Every class, all of Val:\n\n" + _per_class(metrics["val"])
    yield _confusion(metrics["val"])
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
