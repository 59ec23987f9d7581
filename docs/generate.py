"""Write what is made from code and figures anew: `python docs/generate.py`; `--check` only says what is out of date.

docs/cli.md and docs/settings.md from the program, the README's figures from the bundled model's metrics.json, the
tables of docs/training.md from docs/runs/ (copies of run folders, without their weights).
"""  # noqa: INP001  a script, not a package

import csv
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.model_card import overview
from trainer.runtime.bundle import METRICS
from worker.cli.reference import command_page, settings_page
from worker.settings import Settings

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
SEED_RUN, CROSS_VALIDATION = DOCS / "runs" / "seed", DOCS / "runs" / "cross-validation" / "cross-validation.json"
PUBLISHED_ACCURACY = 0.98625
"""Of the notebook on the 509 Val images that have a label line; its own output says 0.9862475442043221."""


def bundled_model_table() -> str:
    """The figures of the bundled model."""
    model = Settings().model_folder
    return f"Model `{model.name}`:\n\n{overview(json.loads((model / METRICS).read_text()))}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def seed_run_table() -> str:
    """The run of the published recipe beside the notebook's own figure."""
    recipe, tested = (json.loads((SEED_RUN / name).read_text()) for name in ("recipe.json", "test.json"))
    with (SEED_RUN / "history.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    low, high = tested["test_accuracy_ci95"]
    return (
        _row("published split, leaky", "notebook", "`--recipe seed` here")
        + _row("---", "---", "---")
        + _row("input", "224 px", f"{recipe['size']} px")
        + _row("epochs", "32 (stopped early)", str(tested["epochs"]))
        + _row("validation loss, last epoch", "0.083", f"{float(last['validation_loss']):.3f}")
        + _row("validation accuracy, last epoch", "0.983", f"{float(last['validation_accuracy']):.3f}")
        + _row("test loss on Val", "0.056", f"{tested['test_loss']:.3f}")
        + _row(
            "test accuracy on Val (95 % interval)",
            f"{PUBLISHED_ACCURACY}",
            f"{tested['test_accuracy']:.4f} ({low:.3f}–{high:.3f})",
        )
    )


def _figure(figures: Mapping[str, Any], name: str) -> str:
    value, interval = figures[name], figures[f"{name}_ci95"]
    return "–" if value is None else f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"


def cross_validation_table() -> str:
    """All folds together, and each."""
    found = json.loads(CROSS_VALIDATION.read_text())
    protocol, columns = found["protocol"], [found["all_folds"], *found["folds"]]
    rows = [
        _row("", "all folds", *(f"fold {number}" for number in range(1, len(columns)))),
        _row(*["---"] * (len(columns) + 1)),
        _row("images", *(str(column["images"]) for column in columns)),
    ]
    for title, name in (
        ("accuracy, four classes", "accuracy"),
        ("sensitivity at the operating point", "sensitivity"),
        ("specificity at the operating point", "specificity"),
        ("mAP50, tumours", "map50_tumour"),
        ("mAP50-95, tumours", "map_tumour"),
        ("mAP50, as published", "map50"),
        ("calibration error before", "ece_uncalibrated"),
        ("calibration error after", "ece"),
    ):
        rows.append(_row(title, *(_figure(column, name) for column in columns)))
    return (
        f"Recipe `{protocol['recipe']}`, {protocol['size']} px, {protocol['epochs']} epochs, seed {protocol['seed']}: "
        f"{protocol['images']} images in {protocol['groups']} groups (the largest has {protocol['largest_group']}), "
        f"{protocol['repeats_left_out']} repeats left out.\n\n" + "".join(rows)
    )


def with_block(page: str, name: str, content: Callable[[], str]) -> str:
    """`page` with what stands between its `<!-- name … -->` and `<!-- /name -->` made anew."""
    block = re.compile(rf"(<!-- {name}[^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    return block.sub(lambda found: f"{found[1]}{content()}{found[2]}", page)


def training_page() -> str:
    """docs/training.md with its tables."""
    page = with_block((DOCS / "training.md").read_text(), "seed-run", seed_run_table)
    return with_block(page, "cross-validation", cross_validation_table)


def main() -> int:
    """Write every page that is out of date; with `--check` name them instead and end with 1 when there are any."""
    pages = {
        DOCS / "cli.md": command_page(),
        DOCS / "settings.md": settings_page(),
        DOCS / "training.md": training_page(),
        README: with_block(README.read_text(), "figures", bundled_model_table),
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
