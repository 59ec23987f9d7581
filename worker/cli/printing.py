"""Records as JSON: ASCII only, so that no terminal, pipe or file name can break it."""

import dataclasses
import json
from datetime import datetime

import typer


def print_json(record: object) -> None:
    """Print a dataclass, or a list of them, as one line of JSON; times as ISO 8601 with their zone."""
    typer.echo(json.dumps(record, default=_plain, allow_nan=False))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")
