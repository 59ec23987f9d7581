"""The README is short, its figures are those of the bundled model, and what it names is there."""

import re
from pathlib import Path

from trainer.card_figures import overview
from trainer.metrics import Metrics
from worker.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
LONGEST = 180


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


def test_its_figures_are_those_of_the_bundled_model() -> None:
    model = Settings().model_folder
    assert f"Model `{model.name}`:\n\n{overview(Metrics.read(model))}" in README, "run `python docs/generate.py`"


def test_every_file_it_links_to_exists() -> None:
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    assert links
    for link in links:
        assert (REPOSITORY / link).exists(), link


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", README))
    assert named <= targets, named - targets
