"""docs/cli.md and docs/settings.md say what the program does: every command, option and setting, and nothing stale."""

from pathlib import Path

import typer

from worker.cli import app
from worker.cli.reference import RESERVED, command_page, settings_page
from worker.domain import ReviewReason
from worker.errors import Reason
from worker.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
STALE = "run `python docs/generate.py`"


def test_the_pages_are_fresh() -> None:
    assert (DOCS / "cli.md").read_text() == command_page(), STALE
    assert (DOCS / "settings.md").read_text() == settings_page(), STALE


def test_every_command_and_option_is_documented_and_has_help() -> None:
    page = command_page()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) == {
        "predict", "worklist", "status", "show", "retry", "reprocess", "purge", "backup", "health", "doctor", "verify",
    }  # fmt: skip
    for name, command in commands.items():
        assert f"## `{name}`" in page
        assert command.help
        for param in command.params:
            assert param.help, (name, param.name)
            for word in param.opts if param.param_type_name == "option" else [param.metavar]:
                assert f"`{word}`" in page


def test_every_setting_is_documented() -> None:
    page = settings_page()
    for name, field in Settings.model_fields.items():
        assert f"`TRIAGE_{name.upper()}`" in page
        assert field.description


def test_slugs_that_nothing_produces_are_reserved() -> None:
    """Whoever produces one takes it out of the reserved ones."""
    code = "".join(
        path.read_text()
        for path in (DOCS.parent / "worker").rglob("*.py")
        if path.name not in {"reference.py", "triage.py"}
    )
    for slug in (*Reason, *ReviewReason):
        produced = f"{type(slug).__name__}.{slug.name}" in code
        assert (slug in RESERVED) is not produced, slug


def test_every_reason_is_named() -> None:
    for reason in Reason:
        assert f"`{reason}`" in command_page()
