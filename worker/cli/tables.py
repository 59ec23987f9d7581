"""Tables for people. Names and header text are data: cleaned of control characters and never read as markup."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.content import RESEARCH_USE_ONLY, Priority
from reports.text import clean
from reports.wording import duration, percent, utc
from worker.cli.details import StudyDetails
from worker.cli.status import HealthState, Status
from worker.cli.worklist import WorklistRow
from worker.predict import FileStatus, StudyLine, StudyStatus
from worker.store.progress import StudyProgress

LONGEST_TEXT = 200
NOTHING = "–"
UNBROKEN = frozenset({"Study", "Result", "Priority", "State", "When", "Score"})
STYLES = {Priority.URGENT: "bold red", Priority.REVIEW: "yellow", Priority.ROUTINE: "green"}


def print_study_lines(lines: Sequence[StudyLine]) -> None:
    """The answers of `predict`, and a last line with how many there are of each kind."""
    table = _table("Scan", "Result", "Priority", "Boxes", "Notes")
    for line in lines:
        table.add_row(
            _text(line.path),
            _answer(line.label, max(line.probabilities.values()) if line.probabilities else None),
            _priority(line.priority) if line.priority else Text("rejected", "magenta"),
            str(len(line.boxes)) if line.status is StudyStatus.OK else NOTHING,
            _text("; ".join(_notes(line))),
        )
    _print(table, Text(_summary(lines)), Text(RESEARCH_USE_ONLY, "dim"))


def _notes(line: StudyLine) -> list[str]:
    if line.status is StudyStatus.REJECTED:
        return [file.message or "" for file in line.files]
    notes = [reason.value for reason in line.review_reasons]
    not_read = sum(file.status is not FileStatus.READ for file in line.files)
    if not_read:
        notes.append(f"{not_read} of {len(line.files)} files not read")
    return notes + sorted({file.message for file in line.files if file.status is FileStatus.READ and file.message})


def _summary(lines: Sequence[StudyLine]) -> str:
    counts = [(sum(line.priority is priority for line in lines), priority.value) for priority in Priority]
    counts.append((sum(line.status is StudyStatus.REJECTED for line in lines), "rejected"))
    return ", ".join(f"{count} {word}" for count, word in counts)


def print_worklist(rows: Sequence[WorklistRow]) -> None:
    """One row a study, in worklist order."""
    table = _table("Study", "Files", "Result", "Priority", "State", "Waited")
    for row in rows:
        waited = (row.reported_at or datetime.now(UTC)) - row.received_at
        more = f" and {len(row.files) - 1} more" if len(row.files) > 1 else ""
        table.add_row(
            row.study,
            _text((row.files[0] if row.files else NOTHING) + more),
            _answer(row.label, row.probability),
            _priority(row.priority),
            f"{row.state} r{row.revision}" if row.revision > 1 else row.state,
            duration(waited.total_seconds()),
        )
    folders = sorted({str(Path(row.report).parent) for row in rows if row.report})
    count = f"{len(rows)} {'study' if len(rows) == 1 else 'studies'}"
    _print(table, Text("; reports in ".join([count, *folders])))


def print_status(status: Status) -> None:
    """A line for each thing worth knowing."""
    table = Table.grid(padding=(0, 2))
    lengths = "the broker does not answer" if status.queues is None else _counts(status.queues)
    oldest, disk, model = status.oldest_waiting, status.disk, status.model
    waiting = f"{status.waiting.files} files, {status.waiting.studies} studies"
    if oldest is not None:
        waiting += f"; the oldest for {duration(oldest.seconds)}, since {utc(oldest.since)}"
    accuracy = "accuracy not measured" if model is None or model.accuracy is None else _accuracy(model.accuracy)
    room = NOTHING
    if disk is not None:
        room = f"{_gib(disk.free_bytes)} free; intake stops below {_gib(disk.min_free_bytes)} ({disk.home})"
    healthy = status.health.state is HealthState.OK
    for name, value in (
        ("Health", Text(status.health.state.value, "green" if healthy else "bold red")),
        *(("", Text(reason)) for reason in status.health.reasons),
        ("Waiting", Text(waiting)),
        *([("Analysing", Text(_progress(status.analysing)))] if status.analysing else []),
        ("Files", Text(_counts(status.files))),
        ("Studies", Text(_counts(status.studies))),
        ("Queues", Text(lengths)),
        ("Disk", Text(room)),
        ("Model", Text(NOTHING if model is None else f"{model.version}, engine {model.engine}, {accuracy}")),
    ):
        table.add_row(Text(name, "bold"), value)
    _print(table)


def print_details(details: StudyDetails) -> None:
    """A study from its files to its events."""
    title = f"Study {details.study}, {details.state}, revision {details.revision}"
    lines = [Text(title, "bold")]
    if details.failure:
        lines.append(Text(details.failure, "red"))
    files = _table("File", "Outcome", "Message", title="Files")
    for file in details.files:
        files.add_row(_text(file.original_name), file.outcome, _text(file.message or NOTHING))
    series = _table("Series", "Description", "Modality", "Images", title="Series")
    for row in details.series:
        number = NOTHING if row.number is None else str(row.number)
        series.add_row(number, _text(row.description or NOTHING), _text(row.modality or NOTHING), str(row.images))
    events = _table("When", "What", "Detail", title="Events")
    for event in details.events:
        events.add_row(utc(event.at), event.kind, _text(event.detail or NOTHING))
    _print(*lines, _findings(details), _boxes(details), files, series, _reports(details), events)


def _findings(details: StudyDetails) -> Table:
    table = _table("Revision", "Result", "Priority", "Review reasons", "Model", title="Findings")
    for row in details.findings:
        table.add_row(
            str(row.revision),
            _answer(row.label, row.probabilities[row.label]),
            _priority(Priority(row.priority)),
            ", ".join(row.review_reasons) or NOTHING,
            f"{row.model} ({row.engine})",
        )
    return table


def _boxes(details: StudyDetails) -> Table:
    table = _table("Revision", "File", "Box", "Score", "x1 y1 x2 y2", title="Boxes")
    for prediction in details.predictions:
        for box in prediction.boxes:
            corners = " ".join(f"{value:.0f}" for value in box.xyxy)
            table.add_row(str(prediction.revision), _text(prediction.file), box.label, percent(box.score), corners)
    return table


def _reports(details: StudyDetails) -> Table:
    table = _table("Revision", "Report", title="Reports")
    for row in details.reports:
        table.add_row(str(row.revision), _text(row.path))
    return table


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in UNBROKEN)
    return table


def _print(*parts: Table | Text) -> None:
    console = Console()
    for part in parts:
        if not isinstance(part, Table) or part.row_count:
            console.print(part)


def _text(text: str) -> Text:
    return Text(clean(text, LONGEST_TEXT))


def _answer(label: str | None, probability: float | None) -> str:
    return NOTHING if label is None or probability is None else f"{label} {percent(probability)}"


def _priority(priority: Priority | None) -> Text:
    return Text(NOTHING) if priority is None else Text(priority.value, STYLES[priority])


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())


def _accuracy(accuracy: float) -> str:
    return f"accuracy {percent(accuracy)} on Val"


def _progress(studies: Sequence[StudyProgress]) -> str:
    return "\n".join(f"study {row.study}: {row.slices_done:,} of {row.slices_total:,} slices" for row in studies)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
