"""Write what is made from code and figures anew: `python docs/generate.py`; `--check` only says what is out of date.

docs/cli.md and docs/settings.md from the program, the README's figures from the bundled model's metrics.json, the
tables of docs/training.md and docs/evaluation.md from that and docs/runs/ (copies of run folders, without weights), the
table of docs/reliability.md from docs/runs/chaos/faults.csv (`make chaos` writes it), that of docs/limits.md from
docs/runs/hostile/ (`make hostile`).
"""  # noqa: INP001  a script, not a package

import csv
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.record import fault_table, read_record
from trainer.card_figures import UNSEEN, overview
from trainer.figure_records import Figures
from trainer.figure_table import (
    ACCURACY,
    ECE,
    MAP50_TUMOUR,
    MAP_TUMOUR,
    SENSITIVITY,
    SPECIFICITY,
    Row,
    figure_rows,
    markdown_table,
    with_interval,
)
from trainer.intervals import Estimate
from trainer.metrics import Metrics
from trainer.run_record import Ending, RunRecord
from trainer.runtime.bundle import WEIGHTS, Manifest, Protocol, read_manifest
from trainer.stress import StressGroup, StressTable
from worker.cli.reference import command_page, settings_page
from worker.settings import Settings

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
DECISION_TABLE, ABLATIONS = DOCS / "runs" / "decision-table.json", DOCS / "runs" / "ablations.json"
SEED_RUN, CROSS_VALIDATION = DOCS / "runs" / "seed", DOCS / "runs" / "cross-validation" / "cross-validation.json"

PUBLISHED_RUN = DOCS / "runs" / "published"
FAULTS = DOCS / "runs" / "chaos" / "faults.csv"
HOSTILE = DOCS / "runs" / "hostile" / "figures.json"
POISON = DOCS / "runs" / "hostile" / "poison.json"


@dataclass(frozen=True)
class NotebookRun:
    """The published run of the seed's recipe, as the notebook's own outputs have it.

    Attributes:
        source: where they stand.
        size: side of the input, pixels.
        epochs: until it stopped early.
        validation_loss: of the last epoch.
        validation_accuracy: of the last epoch.
        test_loss: on Val.
        test_accuracy: on the 509 Val images that have a label line.
    """

    source: str
    size: int
    epochs: int
    validation_loss: float
    validation_accuracy: float
    test_loss: float
    test_accuracy: float


NOTEBOOK = NotebookRun(
    source="https://github.com/amratanshu/brain-tumor-classification, outputs of brain-tumor-classifier.ipynb",
    size=224,
    epochs=32,
    validation_loss=0.083,
    validation_accuracy=0.983,
    test_loss=0.056,
    test_accuracy=0.98625,
)


@dataclass(frozen=True)
class SeedRun:
    """A run of the published recipe here: the same quantities, with the interval of the last."""

    size: int
    epochs: int
    ending: Ending
    validation_loss: float
    validation_accuracy: float
    test_loss: float
    test_accuracy: Estimate
    test_images: int

    @classmethod
    def read(cls, folder: Path) -> "SeedRun":
        """Read recipe.json, run.json, history.csv and test.json of a run folder that is over."""
        record = RunRecord.read(folder)
        if record is None or record.end is None:
            raise ValueError(f"{folder} does not say how its run ended")
        recipe, tested = (json.loads((folder / name).read_text()) for name in ("recipe.json", "test.json"))
        with (folder / "history.csv").open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        return cls(
            recipe["size"],
            record.end.epochs_done,
            record.end.ending,
            float(last["validation_loss"]),
            float(last["validation_accuracy"]),
            tested["test_loss"],
            Estimate(tested["test_accuracy"], *tested["test_accuracy_ci95"]),
            tested["images"],
        )


@dataclass(frozen=True)
class CrossValidation:
    """cross-validation.json of `trainer.cross_validate`, which needs torch to import."""

    protocol: dict[str, Any]
    all_folds: Figures
    folds: list[Figures]

    @classmethod
    def read(cls, path: Path) -> "CrossValidation":
        """Read it."""
        found = json.loads(path.read_text())
        folds = [Figures.from_json(fold) for fold in found["folds"]]
        return cls(found["protocol"], Figures.from_json(found["all_folds"]), folds)


def bundled_model_table(model: Path) -> str:
    """The figures of the bundled model."""
    return f"Model `{model.name}`:\n\n{overview(Metrics.read(model))}"


def seed_run_table(run: SeedRun) -> str:
    """The run of the published recipe beside the notebook's own figures."""
    return markdown_table(
        ["published split, leaky", "notebook", "`--recipe seed` here"],
        [
            ["input", f"{NOTEBOOK.size} px", f"{run.size} px"],
            ["epochs", f"{NOTEBOOK.epochs} (early stop)", f"{run.epochs} ({run.ending})"],
            ["validation loss, last epoch", f"{NOTEBOOK.validation_loss}", f"{run.validation_loss:.3f}"],
            ["validation accuracy, last epoch", f"{NOTEBOOK.validation_accuracy}", f"{run.validation_accuracy:.3f}"],
            ["test loss on Val", f"{NOTEBOOK.test_loss}", f"{run.test_loss:.3f}"],
            ["test accuracy on Val (95 % interval)", f"{NOTEBOOK.test_accuracy}", with_interval(run.test_accuracy)],
        ],
    )


def cross_validation_table(found: CrossValidation) -> str:
    """All folds together, and each."""
    protocol, columns = found.protocol, [found.all_folds, *found.folds]
    return (
        f"Recipe `{protocol['recipe']}`, {protocol['size']} px, {protocol['epochs']} epochs, seed {protocol['seed']}"
        f"{', every image looked at twice (mirrored)' if protocol.get('flip_tta') else ''}: "
        f"{protocol['images']} images in {protocol['groups']} groups (the largest has {protocol['largest_group']}), "
        f"{protocol['repeats_left_out']} repeats left out.\n\n"
        + markdown_table(
            ["with 95 % interval", "all folds", *(f"fold {number}" for number in range(1, len(columns)))],
            figure_rows(columns),
        )
    )


def read_opinions(model: Path, path: Path = DECISION_TABLE) -> list[dict[str, Any]]:
    """The rows of what `benchmarks.decision_table` measured with this model."""
    found = json.loads(path.read_text())
    files, (sums,) = read_manifest(model).files, found["sums"].values()
    if any(files[name] != digest for name, digest in sums.items()):
        raise ValueError(f"{path} was measured with another model than {model}: measure it again")
    return list(found["rows"])


def decision_table(rows: list[dict[str, Any]]) -> str:
    """Who tells tumours best, on each set of pictures."""
    opinions = {
        "classifier": "classifier",
        "best_box_of_a_kind": "best box, by its kind",
        "best_box": "best box, any kind",
        "answer": "answer",
        "tumors_left": "tumours nobody is sent to",
    }
    return markdown_table(
        ["area under the ROC curve, tumour against none", "tumours, others", *opinions.values()],
        [
            [row["pictures"], f"{row['tumors']}, {row['others']}", *(f"{row[name]:.3f}" for name in opinions)]
            for row in rows
        ],
    )


def ablation_table(found: dict[str, Any]) -> str:
    """What each ingredient of the recipe is good for."""
    protocol = found["protocol"]
    sets = {
        "val": "Val",
        "other_looks": "other looks",
        "lesions_moved": "lesions moved",
        "lesions_faint": "lesions faint",
        "other_hospitals": "other hospitals",
    }

    def cell(opinions: dict[str, float]) -> str:
        return f"{opinions['classifier']:.3f} / {opinions['best_box']:.3f}"

    return (
        f"At most {protocol['limit']} images of each class, {protocol['size']} px, {protocol['epochs']} epochs, "
        f"seed {protocol['seed']}. Area under the ROC curve, tumour against none: classifier / best box.\n\n"
        + markdown_table(
            ["trained without", "accuracy on Val, classifier", *sets.values()],
            [
                [
                    ", ".join(each["without"]) or "– (the whole recipe)",
                    f"{each['accuracy']:.3f}",
                    *(cell(each[name]) for name in sets),
                ]
                for each in found["ablations"]
            ],
        )
    )


def protocols_table(model: Path, seed_run: SeedRun, published_run: Path, found: CrossValidation) -> str:
    """The same question asked three ways: how good is a network on images it has not seen?"""
    metrics, manifest, protocol = Metrics.read(model), read_manifest(model), found.protocol
    unseen, pooled = metrics.leak_free, found.all_folds
    leaky, recipe = Metrics.read(published_run).val, json.loads((published_run / "recipe.json").read_text())
    goes_on = _goes_on_from(manifest, published_run)
    part = "all of Val" if metrics.protocol is Protocol.LEAK_FREE else UNSEEN

    def row(each: Row, published: str = "–") -> list[str]:
        ours = ("–" if figures is None else with_interval(each.figure(figures)) for figures in (leaky, unseen, pooled))
        return [each.title, published, *ours]

    counts = ("–" if figures is None else f"{figures.images} ({figures.groups})" for figures in (leaky, unseen, pooled))
    rows = [
        [
            "network",
            "`--recipe seed`, the classifier alone",
            f"`{model.name}`, trained further" if goes_on else f"`--recipe {recipe['name']}`",
            f"`{model.name}`",
            f"`--recipe {protocol['recipe']}`",
        ],
        ["input", f"{seed_run.size} px", f"{recipe['size']} px", f"{manifest.input_size} px", f"{protocol['size']} px"],
        [
            "epochs",
            f"{seed_run.epochs}",
            f"{recipe['epochs']}{' more' if goes_on else ''}",
            f"{manifest.recipe['epochs']}",
            f"{protocol['epochs']}",
        ],
        ["tested on", "all of Val", "all of Val", part, f"Train and Val in {protocol['folds']} folds"],
        ["images (groups of look-alikes)", str(seed_run.test_images), *counts],
        row(ACCURACY, with_interval(seed_run.test_accuracy)),
        *(row(each) for each in (SENSITIVITY, SPECIFICITY, MAP50_TUMOUR, MAP_TUMOUR, ECE)),
    ]
    return markdown_table(
        ["with 95 % interval", "published split, leaky", "the same split", "leak-free", "grouped cross-validation"],
        rows,
    )


def marks_table(model: Path, published_run: Path, found: CrossValidation, opinions: list[dict[str, Any]]) -> str:
    """What a model is to reach, beside what the shipped one does."""
    table = StressTable.read(model)
    if table is None or not table.is_of(read_manifest(model).files):
        raise ValueError(f"{model}: its stress table is missing, or of other files")
    pictures = [each for each in table.groups if each.studies is None]
    (ranking,) = [row["answer"] for row in opinions if row["pictures"] == "other hospitals"]
    val, leaky = Metrics.read(model).leak_free, Metrics.read(published_run).val
    elsewhere = "`benchmarks.stress_table`, single slices"
    marks = [
        _at_least("accuracy, leak-free protocol", 0.980, _value(ACCURACY, val), "all of Val"),
        _at_least("accuracy, published split, leaky", NOTEBOOK.test_accuracy, _value(ACCURACY, leaky), "all of Val"),
        _at_least("accuracy, grouped cross-validation", 0.955, _value(ACCURACY, found.all_folds), "Train and Val"),
        _at_least("mAP50, tumours, leak-free protocol", 0.90, _value(MAP50_TUMOUR, val), "all of Val"),
        _at_least("mAP50-95, tumours, leak-free protocol", 0.58, _value(MAP_TUMOUR, val), "all of Val"),
        _at_most("calibration error, leak-free protocol", 0.03, _value(ECE, val), "all of Val"),
        _at_most("healthy T1 from elsewhere called urgent", 0.05, _share(table.healthy_t1, "urgent"), elsewhere),
        _at_least("gliomas and meningiomas from elsewhere urgent or sent to review", 0.90,
                  _share(table.known_tumors, "urgent", "review"), elsewhere),
        _at_most("pictures from elsewhere sent to review", 0.35, _share(pictures, "review"), elsewhere),
        _at_most("no brain MR, neither refused nor sent to review", 0.05, _passed(table.no_brain), elsewhere),
        _at_least("area under the ROC curve, tumours elsewhere", 0.88, ranking, "`benchmarks.decision_table`"),
    ]  # fmt: skip
    return markdown_table(["figure", "to reach", "the shipped model", "of"], marks)


def _value(row: Row, figures: Figures | None) -> float:
    estimate = None if figures is None else row.figure(figures)
    if estimate is None:
        raise ValueError(f"there is no {row.title} to compare")
    return estimate.value


def _share(groups: Sequence[StressGroup], *calls: str) -> float:
    counted = sum(getattr(each, call).pictures for each in groups for call in calls)
    return float(counted / sum(each.pictures for each in groups))


def _passed(groups: Sequence[StressGroup]) -> float:
    shown = sum(each.pictures - each.review.pictures for each in groups)
    return float(shown / sum(each.pictures + each.refused for each in groups))


def _at_least(title: str, must: float, figure: float, where: str) -> list[str]:
    return [title, f"at least {must:.3f}", _judged(figure, reached=figure >= must), where]


def _at_most(title: str, must: float, figure: float, where: str) -> list[str]:
    return [title, f"at most {must:.3f}", _judged(figure, reached=figure <= must), where]


def _judged(figure: float, *, reached: bool) -> str:
    return f"{figure:.3f}" if reached else f"**{figure:.3f}, not reached**"


def _goes_on_from(manifest: Manifest, run: Path) -> bool:
    """Whether a run began with the weights of the model."""
    record = RunRecord.read(run)
    return record is not None and record.start_weights.sha256 == manifest.files[WEIGHTS]


def with_block(page: str, name: str, content: Callable[[], str]) -> str:
    """`page` with what stands between its `<!-- name … -->` and `<!-- /name -->` made anew."""
    block = re.compile(rf"(<!-- {name}[^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    return block.sub(lambda found: f"{found[1]}{content()}{found[2]}", page)


def training_page() -> str:
    """docs/training.md with its tables."""
    page = with_block((DOCS / "training.md").read_text(), "seed-run", lambda: seed_run_table(SeedRun.read(SEED_RUN)))
    page = with_block(page, "cross-validation", lambda: cross_validation_table(CrossValidation.read(CROSS_VALIDATION)))
    page = with_block(page, "opinions", lambda: decision_table(read_opinions(Settings().model_folder)))
    return with_block(page, "ablations", lambda: ablation_table(json.loads(ABLATIONS.read_text())))


def evaluation_page() -> str:
    """docs/evaluation.md with its tables."""
    model, found = Settings().model_folder, CrossValidation.read(CROSS_VALIDATION)
    opinions = read_opinions(model)
    page = with_block(
        (DOCS / "evaluation.md").read_text(),
        "protocols",
        lambda: protocols_table(model, SeedRun.read(SEED_RUN), PUBLISHED_RUN, found),
    )
    return with_block(page, "marks", lambda: marks_table(model, PUBLISHED_RUN, found, opinions))


def reliability_page() -> str:
    """docs/reliability.md with its table."""

    def table() -> str:
        with FAULTS.open(newline="") as lines:
            return fault_table(read_record(lines))

    return with_block((DOCS / "reliability.md").read_text(), "faults", table)


def limits_page() -> str:
    """docs/limits.md with its tables."""

    def hostile() -> str:
        found = json.loads(HOSTILE.read_text())
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in found["outcomes"].items())
        rows = [
            ["hostile inputs", f"{found['inputs']}: {outcomes}"],
            ["otherwise than expected", f"0, beyond {found['deviations']} explained below"],
            ["good scans in between, all reported once", str(found["good"])],
            ["processes lost", str(found["processes_lost"])],
            ["longest pause between two files taken in", f"{found['longest_block_seconds']:.1f} s"],
            ["most memory of a process", f"{found['most_memory_mib']} MiB"],
            ["all of it", f"{found['seconds']:.0f} s"],
        ]
        return markdown_table(["one run, embedded, two processes", ""], rows)

    def poison() -> str:
        pauses = json.loads(POISON.read_text())
        rows = [[name, f"{seconds:.1f} s"] for name, seconds in pauses.items()]
        return markdown_table(["what the file does", "longest pause between two files taken in"], rows)

    page = with_block((DOCS / "limits.md").read_text(), "hostile", hostile)
    return with_block(page, "poison", poison)


def readme_page() -> str:
    """README.md with the figures of the bundled model."""
    return with_block(README.read_text(), "figures", lambda: bundled_model_table(Settings().model_folder))


def main() -> int:
    """Write every page that is out of date; with `--check` name them instead and end with 1 when there are any."""
    pages = {
        DOCS / "cli.md": command_page(),
        DOCS / "settings.md": settings_page(),
        DOCS / "training.md": training_page(),
        DOCS / "evaluation.md": evaluation_page(),
        DOCS / "reliability.md": reliability_page(),
        DOCS / "limits.md": limits_page(),
        README: readme_page(),
    }
    stale = [path for path, page in pages.items() if path.read_text() != page]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is out of date: run `python docs/generate.py`.", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
