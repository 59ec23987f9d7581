"""How a command fails: one sentence on standard error and an exit code, never a traceback for what people can mend."""

from typing import Any

import typer
from typer.core import TyperGroup

FAILED, MISUSED = 1, 2
"""Exit codes: the command could not do its work; it was called or configured wrongly."""


class CommandError(Exception):
    """What the user should read; `exit_code` is what a script sees."""

    def __init__(self, sentence: str, exit_code: int = FAILED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code


class SpeakingGroup(TyperGroup):
    """Turns a `CommandError` of any command into its sentence."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except CommandError as error:
            typer.echo(error.sentence, err=True)
            raise typer.Exit(error.exit_code) from None
