"""Write what is made from code and figures anew: `python docs/generate.py`.

docs/cli.md and docs/settings.md from the program, the README's figures from the bundled model's metrics.json.
"""  # noqa: INP001  a script, not a package

import json
import re
from pathlib import Path

from trainer.model_card import overview
from trainer.runtime.bundle import METRICS
from worker.cli.reference import command_page, settings_page
from worker.settings import Settings

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"

(DOCS / "cli.md").write_text(command_page())
(DOCS / "settings.md").write_text(settings_page())
model = Settings().model_folder
table = f"Model `{model.name}`:\n\n{overview(json.loads((model / METRICS).read_text()))}"
block = re.compile(r"(<!-- figures[^\n]*-->\n).*?(<!-- /figures -->)", re.DOTALL)
README.write_text(block.sub(lambda found: f"{found[1]}{table}{found[2]}", README.read_text()))
