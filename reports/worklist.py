"""The worklist: one static HTML page that opens offline, from a file share as well as from a web server.

The content security policy allows nothing but the page's own style and script, by hash, and embedded pictures: text
that slipped through the escaping could still do nothing.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from reports.content import RESEARCH_USE_ONLY, Priority, WorklistEntry, WorklistTotals
from reports.text import clean
from reports.wording import duration, percent, plain_reason, utc

__all__ = ["render_worklist"]

MAX_FILES: Final = 3
MAX_REASONS: Final = 6
_WAITING: Final = "waiting"
_FAILED: Final = "failed"
_SUPERSEDED: Final = "superseded"
_WORDS: Final = {
    Priority.URGENT.value: "Urgent",
    Priority.REVIEW.value: "Review",
    Priority.ROUTINE.value: "Routine",
    _WAITING: "Waiting",
    _FAILED: "Failed",
    _SUPERSEDED: "Superseded",
}


@dataclass(frozen=True)
class _Count:
    kind: str
    word: str
    number: int


@dataclass(frozen=True)
class _Row:
    kinds: tuple[str, ...]
    tones: tuple[str, ...]
    word: str
    state: str
    study: str
    patient: str
    files: tuple[str, ...]
    more_files: int
    revision: int
    superseded_by: int | None
    label: str
    probability: str | None
    reasons: tuple[str, ...]
    waited: str
    received: str
    received_iso: str
    reported: str | None
    reported_iso: str | None
    report: str | None
    thumbnail: str | None


def render_worklist(
    entries: Sequence[WorklistEntry], generated_at: datetime, totals: WorklistTotals | None = None
) -> str:
    """Return the worklist page for `entries`, in their order.

    Studies without a priority are shown as waiting, or as failed by their state. Where several revisions of a study are
    given, the older ones say which revision supersedes them. All text is bounded and printed as text. `totals` says how
    many studies there are where `entries` are only some of them; without it the entries are counted.

    Raises:
        ValueError: a time has no time zone, or a report's path is not below the page's own folder.
    """
    newest: dict[str, int] = {}
    for entry in entries:
        newest[entry.study] = max(entry.revision, newest.get(entry.study, 0))
    rows = [_row(entry, newest[entry.study], generated_at) for entry in entries]
    style, script = _asset("worklist.css"), _asset("worklist.js")
    return _template().render(
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704 - our own files; their hashes are in the policy
        script=Markup(script),  # noqa: S704
        generated=utc(generated_at),
        generated_iso=generated_at.astimezone(UTC).isoformat(),
        counts=_counts(rows, totals),
        studies_shown=len(newest),
        studies=max(len(newest), totals.studies if totals else 0),
        rows=rows,
        research_use_only=RESEARCH_USE_ONLY,
    )


def _counts(rows: Sequence[_Row], totals: WorklistTotals | None) -> list[_Count]:
    numbers = {kind: sum(kind in row.kinds for row in rows) for kind in _WORDS}
    if totals is not None:
        numbers |= {
            Priority.URGENT.value: totals.urgent,
            Priority.REVIEW.value: totals.review,
            Priority.ROUTINE.value: totals.routine,
            _WAITING: totals.waiting,
            _FAILED: totals.failed,
        }
    return [_Count(kind, word, numbers[kind]) for kind, word in _WORDS.items()]


@cache
def _template() -> Template:
    environment = Environment(loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("worklist.html")


@cache
def _asset(name: str) -> str:
    return resources.files("reports").joinpath("templates", name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")


def _row(entry: WorklistEntry, newest: int, now: datetime) -> _Row:
    status = _status(entry)
    old = newest > entry.revision
    return _Row(
        kinds=(_SUPERSEDED,) if old else status,
        tones=(*status, "old") if old else status,
        word=_WORDS[status[0]],
        state=clean(entry.state, 60),
        study=clean(entry.study, 80),
        patient=clean(entry.patient or "", 120),
        files=tuple(clean(name, 90) for name in entry.files[:MAX_FILES]),
        more_files=max(0, len(entry.files) - MAX_FILES),
        revision=entry.revision,
        superseded_by=newest if old else None,
        label=clean(entry.label or "", 60),
        probability=None if entry.probability is None else percent(entry.probability),
        reasons=tuple(plain_reason(reason) for reason in entry.review_reasons[:MAX_REASONS]),
        waited=_waited(entry, now),
        received=utc(entry.received_at),
        received_iso=entry.received_at.astimezone(UTC).isoformat(),
        reported=None if entry.reported_at is None else utc(entry.reported_at),
        reported_iso=None if entry.reported_at is None else entry.reported_at.astimezone(UTC).isoformat(),
        report=None if entry.report is None else _link(entry.report),
        thumbnail=None if entry.thumbnail_jpeg is None else _data_uri(entry.thumbnail_jpeg),
    )


def _waited(entry: WorklistEntry, now: datetime) -> str:
    span = duration(((entry.reported_at or now) - entry.received_at).total_seconds())
    if entry.reported_at:
        return f"reported after {span}"
    return f"waiting for {span}" if _status(entry) == (_WAITING,) else f"arrived {span} ago"


def _status(entry: WorklistEntry) -> tuple[str, ...]:
    """Return what this row is, its badge first."""
    failed = (_FAILED,) if entry.state.strip().lower() in {"failed", "rejected"} else ()
    if entry.priority is not None:
        return (entry.priority.value, *failed)
    return failed or (_WAITING,)


def _link(path: str) -> str:
    """Percent-encode a path below the page, so that no name can become a scheme, a host or markup."""
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"report path {path!r} does not lie below the worklist page")
    return quote(path, safe="/", errors="surrogateescape")


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + b64encode(jpeg).decode("ascii")
