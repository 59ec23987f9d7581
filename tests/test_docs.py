"""Pages that are made from code and figures say what code and figures say."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.trainer.figures_made_by_hand import made_up_figures, made_up_metrics
from trainer.run_record import End, Ending, RunRecord, StartWeights
from trainer.runtime.bundle import CALIBRATION, WEIGHTS, Manifest, Protocol

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py, which is no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", REPOSITORY / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def seed_run(tmp_path: Path) -> Path:
    """A made-up run of the seed's recipe."""
    folder = tmp_path / "seed"
    folder.mkdir()
    tested = {"epochs": 9, "images": 512, "test_loss": 0.1, "test_accuracy": 0.951, "test_accuracy_ci95": [0.93, 0.97]}
    (folder / "recipe.json").write_text('{"size": 128}')
    RunRecord(42, StartWeights("scratch"), end=End(9, Ending.EARLY_STOP)).write(folder)
    (folder / "test.json").write_text(json.dumps(tested))
    header = "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy"
    (folder / "history.csv").write_text(f"{header}\n8,1,0.5,1,0.5\n9,0.1,0.96,0.123,0.944\n")
    return folder


@pytest.fixture
def cross_validation(tmp_path: Path) -> Path:
    """A made-up cross-validation."""
    protocol = {"recipe": "default", "size": 128, "epochs": 5, "folds": 3, "seed": 1, "images": 4000,
                "repeats_left_out": 1200, "groups": 2500, "largest_group": 30}  # fmt: skip
    path = tmp_path / "cross-validation.json"
    folds = [made_up_figures(40, 30, accuracy).as_json() for accuracy in (0.81, 0.82, 0.83)]
    all_folds = made_up_figures(4000, 2500, 0.82).as_json()
    path.write_text(json.dumps({"protocol": protocol, "all_folds": all_folds, "folds": folds}))
    return path


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_test_that_a_page_names_exists() -> None:
    pages = "".join(path.read_text() for path in (REPOSITORY / "docs").rglob("*.md"))
    named = re.findall(r"`(tests/[\w/]+\.py)::(?:\w+::)?(test_\w+)`", pages)
    assert named
    assert [name for path, name in named if f"def {name}(" not in (REPOSITORY / path).read_text()] == []


def test_the_seed_run_beside_the_notebook(generate: ModuleType, seed_run: Path) -> None:
    table = generate.seed_run_table(generate.SeedRun.read(seed_run))
    assert "| epochs | 32 (early stop) | 9 (early stop) |" in table
    assert "| validation loss, last epoch | 0.083 | 0.123 |" in table
    assert "| test accuracy on Val (95 % interval) | 0.98625 | 0.951 (0.930–0.970) |" in table


def test_the_folds_side_by_side(generate: ModuleType, cross_validation: Path) -> None:
    table = generate.cross_validation_table(generate.CrossValidation.read(cross_validation))
    assert "4000 images in 2500 groups (the largest has 30), 1200 repeats left out" in table
    assert "| images (groups of look-alikes) | 4000 (2500) | 40 (30) | 40 (30) | 40 (30) |" in table
    (accuracy,) = [line for line in table.splitlines() if line.startswith("| accuracy, four classes")]
    assert [cell[:5] for cell in accuracy.strip("| ").split(" | ")[1:]] == ["0.820", "0.810", "0.820", "0.830"]


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (Protocol.LEAK_FREE, ("all of Val", "40 (30)", "0.900 (0.800–0.950)")),
        (Protocol.LEAKY, ("Val unlike any training image", "20 (18)", "0.850 (0.750–0.950)")),
        (Protocol.UNCHECKED, ("Val unlike any training image", "–", "–")),
    ],
)
def test_three_protocols_side_by_side(
    generate: ModuleType,
    seed_run: Path,
    cross_validation: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: Protocol,
    expected: tuple[str, str, str],
) -> None:
    tested_on, images, accuracy = expected
    model = tmp_path / "2026.00"
    model.mkdir()
    made_up_metrics(protocol).write(model)
    manifest = Manifest("2026.00", 192, False, {WEIGHTS: "0" * 64, CALIBRATION: "1" * 64}, {"epochs": 14})
    monkeypatch.setattr(generate, "read_manifest", lambda _: manifest)
    published = tmp_path / "published"
    published.mkdir()
    made_up_metrics(Protocol.LEAKY).write(published)
    (published / "recipe.json").write_text('{"name": "default", "size": 160, "epochs": 12}')
    found = generate.CrossValidation.read(cross_validation)
    table = generate.protocols_table(model, generate.SeedRun.read(seed_run), published, found)
    heads = "| with 95 % interval | published split, leaky | the same split | leak-free | grouped cross-validation |"
    assert heads in table
    assert "| input | 128 px | 160 px | 192 px | 128 px |" in table
    assert "| epochs | 9 | 12 | 14 | 5 |" in table
    RunRecord(1, StartWeights("2026.00/model.safetensors", "0" * 64)).write(published)
    going_on = generate.protocols_table(model, generate.SeedRun.read(seed_run), published, found)
    assert "| epochs | 9 | 12 more | 14 | 5 |" in going_on
    assert "| `2026.00`, trained further | `2026.00` |" in going_on
    assert f"| tested on | all of Val | all of Val | {tested_on} | Train and Val in 3 folds |" in table
    assert f"| images (groups of look-alikes) | 512 | 40 (30) | {images} | 4000 (2500) |" in table
    assert (
        f"| accuracy, four classes | 0.951 (0.930–0.970) | 0.900 (0.800–0.950) | {accuracy} | 0.820 (0.720–0.950) |"
        in table
    )
    assert "| sensitivity at the operating point | – | " in table


def test_opinions_of_another_model_are_refused(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = Manifest("2026.00", 192, False, {WEIGHTS: "0" * 64, CALIBRATION: "1" * 64}, {})
    monkeypatch.setattr(generate, "read_manifest", lambda _: manifest)
    row = {"pictures": "Val", "tumors": 4, "others": 2, "classifier": 0.5, "best_box_of_a_kind": 0.75, "best_box": 1.0}
    row |= {"answer": 1.0, "tumors_left": 0.25}
    found = {"sums": {"m": {WEIGHTS: "0" * 64, CALIBRATION: "1" * 64}}, "rows": [row]}
    path = tmp_path / "decision-table.json"
    path.write_text(json.dumps(found))
    rows = generate.read_opinions(Path("m"), path)
    assert "| Val | 4, 2 | 0.500 | 0.750 | 1.000 | 1.000 | 0.250 |" in generate.decision_table(rows)
    path.write_text(json.dumps(found | {"sums": {"m": {WEIGHTS: "0" * 64, CALIBRATION: "2" * 64}}}))
    with pytest.raises(ValueError, match="measured with another model"):
        generate.read_opinions(Path("m"), path)


def test_what_each_ingredient_is_good_for(generate: ModuleType) -> None:
    opinions = {"classifier": 0.5, "best_box": 0.75}
    sets = dict.fromkeys(("val", "other_looks", "lesions_moved", "lesions_faint", "other_hospitals"), opinions)
    rows = [{"without": without, "accuracy": 0.9, **sets} for without in ([], ["looks", "growing"])]
    protocol = {"limit": 300, "size": 128, "epochs": 16, "seed": 1}
    table = generate.ablation_table({"protocol": protocol, "ablations": rows})
    assert "At most 300 images of each class, 128 px, 16 epochs, seed 1." in table
    assert "| looks, growing | 0.900 | 0.500 / 0.750 |" in table


def test_what_stands_between_the_marks_is_made_anew(generate: ModuleType) -> None:
    page = "before\n<!-- x: by hand? no -->\nold\n<!-- /x -->\nafter\n<!-- y -->\nkept\n<!-- /y -->\n"
    assert generate.with_block(page, "x", lambda: "new\n") == page.replace("old", "new")


def test_every_block_has_its_marks(generate: ModuleType) -> None:
    blocks = {
        "evaluation": ("protocols", "marks"),
        "training": ("seed-run", "cross-validation", "opinions", "ablations"),
        "reliability": ("faults",),
        "limits": ("hostile", "poison"),
    }
    for page, name in ((page, name) for page, names in blocks.items() for name in names):
        text = (REPOSITORY / "docs" / f"{page}.md").read_text()
        assert generate.with_block(text, name, lambda: "made anew") != text, name
