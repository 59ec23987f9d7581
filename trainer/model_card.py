"""MODEL_CARD.md, written from the other files of a model folder: no number is typed by hand."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from trainer.card_figures import (
    ALL,
    UNSEEN,
    calibration_note,
    class_tables,
    interval_note,
    list_item,
    overview,
    paragraph,
)
from trainer.card_training import read_record, start_weights_line, training_lines
from trainer.engine_comparison import ENGINES, EngineComparison, table_rows
from trainer.engine_comparison import HEADINGS as ENGINE_HEADINGS
from trainer.figure_table import markdown_table
from trainer.fusion import BOX_LEAD
from trainer.metrics import Metrics
from trainer.run_record import RunRecord
from trainer.runtime.bundle import (
    HELD_OUT_FILES,
    METRICS,
    MODEL_CARD,
    TRAINING_FILES,
    WEIGHTS,
    Manifest,
    ModelFolderError,
    Protocol,
    read_calibration,
    read_file_list,
    read_manifest,
    write_whole,
)
from trainer.runtime.decision import CLASSIFIER_LIMIT
from trainer.runtime.records import CLASSES
from trainer.stress import HEADINGS as STRESS_HEADINGS
from trainer.stress import STRESS, StressTable
from trainer.thresholds import UNFAMILIAR_MISSES, UNFAMILIAR_TUMOR, values_at_their_bounds

FIGURES = "figures"
"""Folder of pictures in the model folder, written by `python -m trainer.evaluate --write`."""
RELIABILITY, WORST_ERRORS = "reliability.png", "worst-errors.jpg"

_PURPOSE = """\
Research use only. This is not a medical device: nobody has cleared it for diagnosis, and no one may be treated or
sent home on its word.

The model looks at one grey MR slice of a head. It answers Glioma, Meningioma, Pituitary (tumour) or No Tumor, and boxes
the lesions it sees. Boxes and a classifier of the whole picture answer together; where the two contradict each other
the slice goes to a person. On a slice unlike the training images the boxes answer "tumour or not" alone, and where
neither is probable enough a person looks first.
"""

_TERMS = """\
- Data: "MRI for Brain Tumor with Bounding Boxes" (Kaggle). Its licence is not stated where it was found, so these
  weights are for research use and are not under the licence of the code.
"""

_NOT_TESTED = """\
- Whole studies with a known outcome, and against readers: what slices say of a study is put together by rules
  (docs/adr/0007), not fitted.
- Healthy FLAIR and healthy T1 with contrast agent; healthy series of more than two people; children, but for one.
- Heads after surgery or treatment; other lesions than tumours (bleeding, infarcts, infection), but for one patient.
- One scanner, field strength, age or sex against another: the files do not say.
"""

_STRESS = """\
`python -m benchmarks.stress_table`: every file through the worker's intake, every slice that is read answered as a
study of its own (docs/evaluation.md says what the pictures are). Shares are of the pictures that differ in a pixel;
their intervals count the slices of a study together, and there is none where all are of one study. Where the files
state no study, slices count as unrelated, and the interval is too narrow. Called a tumour: the most likely class is
one. Urgent: P(tumour) at or above the operating point, and no person has to look first. Sent to review: not urgent,
with a reason why a person should look. Pictures of tumours are labelled by their case, so slices beside the lesion may
be among them.
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
- Other lesions (metastases, bleeding, infarcts, infection), children and images after surgery were not trained on.
- The box of a normal pituitary gland is learnt apart and never drawn; in the labels the two are not always told apart.
- "No Tumor" is not "healthy".
"""


@dataclass(frozen=True)
class OtherTables:
    """What else was measured of a model, each by a command of its own; `None` where it was not."""

    stress: StressTable | None
    engines: EngineComparison | None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read them.

        Raises:
            ModelFolderError: one of the files is broken.
        """
        return cls(StressTable.read(folder), EngineComparison.read(folder))


def _how_good(metrics: Metrics) -> Iterator[str]:
    yield f"## How good it is\n\n{overview(metrics)}"
    yield interval_note(metrics.val)
    figures = metrics.leak_free or metrics.val
    yield calibration_note(figures)
    images = UNSEEN if metrics.leak_free and metrics.protocol is not Protocol.LEAK_FREE else ALL
    yield f"Every class, {images}:\n"
    yield from class_tables(figures)


def _pictures(drawn: Collection[str]) -> Iterator[str]:
    if RELIABILITY in drawn:
        yield f"![How often answers of each certainty are right, all of Val]({FIGURES}/{RELIABILITY})\n"
    if WORST_ERRORS in drawn:
        yield f"![The worst answers on Val, with their boxes]({FIGURES}/{WORST_ERRORS})\n"
        yield paragraph(
            "The wrong answers that are most sure of themselves, then in grey the least sure right ones; dashed boxes "
            "are the data set's. The pictures are of the data set, for research use like it (below)."
        )


def _stress(table: StressTable | None, manifest: Manifest) -> Iterator[str]:
    """The stress table, where it was measured, and measured with these weights and this calibration."""
    if table is None:
        return
    yield f"## Other scanners and other pictures\n\n{_STRESS}"
    if not table.is_of(manifest.files):
        yield f"`{STRESS}` was measured with other weights or another calibration: measure it again.\n"
        return
    yield markdown_table(STRESS_HEADINGS, [group.cells() for group in table.groups])
    yield from _failures(table)


def _failures(table: StressTable) -> Iterator[str]:
    """Where it fails on them, in two sentences."""
    healthy, tumors = table.healthy_t1, table.known_tumors
    if healthy:
        urgent, pictures = sum(each.urgent.pictures for each in healthy), sum(each.pictures for each in healthy)
        yield list_item(f"Of {pictures} healthy T1 slices {urgent} are urgent.").rstrip()
    if tumors:
        pictures = sum(each.pictures for each in tumors)
        left, worst = sum(each.left for each in tumors), max(tumors, key=lambda each: each.left / each.pictures)
        yield list_item(
            f"Of {pictures} slices of gliomas and meningiomas nobody is sent to {left}; the largest share of these is "
            f'of "{worst.name}".'
        )


def _engines(found: EngineComparison | None, manifest: Manifest) -> Iterator[str]:
    """The comparison of engines, where it was measured, and measured with these files."""
    if found is None:
        return
    yield f"## Engines\n\n{_ENGINES}"
    if not found.is_of(manifest.files):
        yield f"`{ENGINES}` was measured with other files: measure it again.\n"
        return
    yield markdown_table(ENGINE_HEADINGS, list(table_rows(found.engines)))
    yield f"On {found.images} images of Val, {found.threads} threads of {found.processor}.\n"


def _split_leakage(metrics: Metrics) -> Iterator[str]:
    """A list item: how many images of Val the data set itself shows in Train, trained on or not."""
    if metrics.protocol is not Protocol.UNCHECKED and metrics.trained_look_alikes_of_val is not None:
        clean = 0 if metrics.val_clean is None else metrics.val_clean.images
        yield list_item(
            f"The split leaks as it is published: {metrics.val.images - clean} of the {metrics.val.images} images of "
            "Val look like an image of Train (perceptual hash, mirror images counted). Of the images trained on "
            f"{metrics.trained_look_alikes_of_val} look like one of Val."
        )


def _images_by_class(path: Path) -> str:
    counts = Counter(listed.name.partition("/")[0] for listed in read_file_list(path))
    each = ", ".join(f"{label} {counts[label]}" for label in CLASSES)
    return f"{counts.total()} images ({each}), listed in `{path.name}` with their sums"


def _decision(folder: Path) -> str:
    calibration = read_calibration(folder)
    rows = [[f"`{name}`", f"{value:.4g}"] for name, value in asdict(calibration).items()]
    bounded = values_at_their_bounds(calibration)
    text = paragraph(
        "Fitted on the held-out images (`trainer.calibrate`). In units of what a tumour adds on average, the weight of "
        f"the boxes is at least {BOX_LEAD:g} × that of the classifier, whose log-odds are bounded at "
        f"±{CLASSIFIER_LIMIT:g}. "
        'On a wholly unfamiliar image "no tumour" must be so probable that, were all held-out images as others would '
        f"show them unfamiliar, at most {UNFAMILIAR_MISSES:.0%} of the tumours of any such set would be called none "
        f"with nobody sent to look. A tumour must be {UNFAMILIAR_TUMOR:.0%} probable there: that is set, with other "
        "hospitals' scans in sight."
    )
    if bounded:
        names = ", ".join(f"`{name}`" for name in bounded)
        text += paragraph(f"At the end of the range they are kept within (`trainer.thresholds`): {names}.")
    return f"{text}\n{markdown_table(['value of `trainer.runtime.decision.Calibration`', ''], rows)}"


def _provenance(manifest: Manifest, record: RunRecord | None, metrics: Metrics) -> str:
    recipe = ", ".join(f"{name} {value}" for name, value in manifest.recipe.items() if not isinstance(value, dict))
    return (
        f"- version {manifest.version}, input {manifest.input_size} × {manifest.input_size} pixels"
        f"{', every image looked at twice (mirrored)' if manifest.flip_tta else ''}\n"
        f"- sha256 of `{WEIGHTS}`: `{manifest.files[WEIGHTS]}`\n"
        f"- recipe: {recipe}\n{''.join(training_lines(record, manifest))}"
        f"- measured with the {metrics.engine} engine at {metrics.images_per_second:.1f} images per second\n"
    )


def model_card(folder: Path, metrics: Metrics, tables: OtherTables, drawn: Collection[str]) -> str:
    """The text of MODEL_CARD.md.

    Args:
        folder: model folder.
        metrics: its figures.
        tables: what else was measured.
        drawn: which pictures stand in its `FIGURES`.

    Raises:
        ModelFolderError: the folder is broken, or the figures are of other weights or another calibration.
    """
    manifest = read_manifest(folder)
    if not metrics.is_of(manifest.files):
        raise ModelFolderError(
            f"{folder / METRICS} was measured with other weights or another calibration: "
            "measure the model with `python -m trainer.evaluate --write`."
        )
    return "\n".join(_sections(folder, manifest, metrics, tables, drawn))


def _sections(
    folder: Path, manifest: Manifest, metrics: Metrics, tables: OtherTables, drawn: Collection[str]
) -> Iterator[str]:
    record = read_record(folder, manifest)
    yield f"# Model {manifest.version}\n\n{_PURPOSE}"
    yield from _how_good(metrics)
    yield from _pictures(drawn)
    yield from _stress(tables.stress, manifest)
    yield from _engines(tables.engines, manifest)
    yield f"## How it decides\n\n{_decision(folder)}"
    yield (
        "## What it learnt from\n\n"
        f"- trained on {_images_by_class(folder / TRAINING_FILES)}\n"
        f"- calibrated on {_images_by_class(folder / HELD_OUT_FILES)}\n"
        f"{''.join(_split_leakage(metrics))}{_TERMS}{start_weights_line(record)}"
    )
    yield f"## Not tested on\n\n{_NOT_TESTED}"
    yield f"## Limits\n\n{_LIMITS}"
    yield f"## Provenance\n\n{_provenance(manifest, record, metrics)}"


def drawn_pictures(folder: Path) -> list[str]:
    """Which pictures stand in a model folder."""
    return [name for name in (RELIABILITY, WORST_ERRORS) if (folder / FIGURES / name).is_file()]


def write_model_card(folder: Path) -> None:
    """Write MODEL_CARD.md of a model folder from its other files.

    Raises:
        ModelFolderError: the folder is broken, it was not measured, or with other weights or another calibration.
    """
    card = model_card(folder, Metrics.read(folder), OtherTables.read(folder), drawn_pictures(folder))
    write_whole(folder / MODEL_CARD, card)
