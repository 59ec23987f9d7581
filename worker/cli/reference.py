"""docs/cli.md and docs/settings.md, made from the commands and the settings themselves; `python docs/generate.py`."""

import dataclasses
import inspect
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from pydantic.fields import FieldInfo

from worker.backup import Backup
from worker.cli.commands import PROGRAM, app
from worker.cli.details import StudyDetails
from worker.cli.doctor import Examination, State
from worker.cli.status import Status
from worker.cli.verification import Verification
from worker.cli.worklist import WorklistRow
from worker.domain import ReviewReason
from worker.errors import Reason
from worker.findings import SENTENCES
from worker.purge import Purge
from worker.settings import Settings

GENERATED = "<!-- Made by `python docs/generate.py`; a test holds it fresh. Do not edit. -->"
NOT_SET = "not set"
RESERVED = frozenset({Reason.UID_CONFLICT})
"""Slugs that nothing produces yet; scripts may know them already."""

OUTPUT_NOTES = """\
## What `predict --json` prints

One object a line, in the order of the input (paths as given, folders sorted); lines appear as studies finish.

| key | value |
|---|---|
| `path` | the picture itself, or the common folder of a DICOM study; members of an archive are `archive.zip/member` |
| `files` | every file of the study: `path`, `status` (`read`, `left_out`, `rejected`), `reason`, `message` |
| `status` | `ok`, or `rejected` for a file that belongs to no study |
| `reason` | why it was rejected, else null |
| `label` | the class of the largest probability, null only when rejected |
| `probabilities` | by class, sum 1, null when rejected |
| `boxes` | `label`, `score`, `xyxy` in pixels of the decoded image, `file`, `frame` (from 1), `corners_mm`, `lesion` |
| `priority` | `urgent`, `review` or `routine`, null when rejected |
| `review_reasons` | why a person should look |
| `model` | version of the model |
| `lesions` | `number`, `label`, `probability`, `score` of its best box, `slices`, `diameter_mm`, `extent_mm` |

`corners_mm` are the corners of the box in the patient (LPS; top left, top right, bottom left, bottom right), null where
the file does not say where it lies. Boxes on neighbouring slices are one lesion; `lesion` is its number, null for boxes
on less than 4 mm of thin slices. `probability` is that of a lesion of any class, by the boxes alone; null where the
model cannot tell, or the study is unlike brain MR. A file is left out when its series is not among those that are read
(`TRIAGE_MAX_SERIES`; docs/dicom.md).

Every input file is named in exactly one line. Names that the inbox ignores (`.*`, `*.part`, `*.tmp`, `*.filepart`,
`*.crdownload`, `~*`, `*~`, `Thumbs.db`) and, inside folders, links, pipes and devices get none. Duplicates are all
read. Archives are unpacked in a temporary folder (`TMPDIR`). Bytes of a name that are not UTF-8 are written `\\xff`.
"""


def command_page() -> str:
    """All commands with their arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = [
        "# The command line",
        GENERATED,
        inspect.cleandoc(group.help or ""),
        "Exit codes: 0 done, 1 not possible (the sentence says why), 2 called or configured wrongly.",
        f"```sh\n{PROGRAM} COMMAND --help\n{PROGRAM} --version\n```",
    ]
    for name, command in group.commands.items():
        if not command.hidden:
            parts += _command(name, command)
    reasons = f"Reasons of files: {_slugs(Reason)}."
    review = f"Review reasons: {_slugs(ReviewReason)}."
    return "\n\n".join([*parts, OUTPUT_NOTES.rstrip(), reasons, review, *_other_outputs()]) + "\n"


def _other_outputs() -> Iterator[str]:
    yield "## What the others print with `--json`"
    yield (
        "One line each. Times are ISO 8601 with their zone, report paths absolute; what is not known is null.\n"
        "Original names are patient data."
    )
    yield f"`worklist`: an array in worklist order of objects with {_keys(WorklistRow)}."
    yield (f"`status`: an object with {_keys(Status)}. `queues` counts bells, `waiting` work.")
    yield f"`show`: an object with {_keys(StudyDetails)}."
    yield f"`doctor`: an object with {_keys(Examination)}. States: {', '.join(f'`{state}`' for state in State)}."
    yield f"`purge`: an object with {_keys(Purge)}. `backup`: one with {_keys(Backup)}."
    troubles = "\n".join(f"| `{trouble}` | {sentence} |" for trouble, sentence in SENTENCES.items())
    yield f"`verify`: an object with {_keys(Verification)}. What `trouble` says:"
    yield f"| | |\n|---|---|\n{troubles}"


def _keys(record: type) -> str:
    """The fields of a record, those of records in it in brackets."""
    hints = get_type_hints(record)
    return ", ".join(f"`{field.name}`{_inner_keys(hints[field.name])}" for field in dataclasses.fields(record))


def _inner_keys(hint: Any) -> str:
    inner = next((kind for kind in (hint, *get_args(hint)) if dataclasses.is_dataclass(kind)), None)
    return f" ({_keys(inner)})" if isinstance(inner, type) else ""


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    words = [PROGRAM, name, *("[OPTIONS]" for _ in options[:1]), *(str(param.metavar) for param in arguments)]
    yield f"## `{name}`"
    yield f"```sh\n{' '.join(words)}\n```"
    yield inspect.cleandoc(command.help)
    rows = [f"| `{param.metavar}` | {param.help} |" for param in arguments]
    rows += [f"| `{'`, `'.join([*param.opts, *param.secondary_opts])}` | {param.help} |" for param in options]
    if rows:
        yield "\n".join(["| | |", "|---|---|", *rows])


def _slugs(vocabulary: type[StrEnum]) -> str:
    return ", ".join(f"`{slug.value}`" + " (reserved)" * (slug in RESERVED) for slug in vocabulary)


def settings_page() -> str:
    """All settings with their defaults."""
    rows = [f"| `TRIAGE_{name.upper()}` | {_default(field)} | {field.description} |" for name, field in _fields()]
    intro = (
        "Environment variables, read once when a process starts; a value that is out of range stops it with a sentence."
        "\nNone has to be set. Workers of one installation must agree on all but threads, engine and concurrency."
    )
    return (
        "\n\n".join(["# Settings", GENERATED, intro, "\n".join(["| variable | default | |", "|---|---|---|", *rows])])
        + "\n"
    )


def _fields() -> list[tuple[str, FieldInfo]]:
    return list(Settings.model_fields.items())


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return NOT_SET
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if field.description and "octal" in field.description:
        return f"`{value:o}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"
