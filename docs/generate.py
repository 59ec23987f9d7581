"""Write docs/cli.md and docs/settings.md anew: `python docs/generate.py`."""  # noqa: INP001  a script, not a package

from pathlib import Path

from worker.cli.reference import command_page, settings_page

DOCS = Path(__file__).resolve().parent

(DOCS / "cli.md").write_text(command_page())
(DOCS / "settings.md").write_text(settings_page())
