"""What `status` says: how much waits where, the disk, the model, and whether all is well."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from trainer.runtime.bundle import ModelBundle, ModelFolderError
from worker.cli.broker import queue_lengths
from worker.cli.health import broker_trouble, disk_trouble, stuck_stages
from worker.cli.opening import open_database
from worker.pipeline import Queue
from worker.settings import Settings
from worker.store import progress
from worker.store.models import UNFINISHED_FILES, UNFINISHED_STUDIES, FileState, ScanFile, Study, StudyState
from worker.store.progress import StudyProgress


class HealthState(StrEnum):
    """`degraded` has its reasons beside it."""

    OK = "ok"
    DEGRADED = "degraded"


@dataclass(frozen=True)
class Waiting:
    """Files and studies that are not finished; failed ones are."""

    files: int
    studies: int


@dataclass(frozen=True)
class OldestWaiting:
    """The longest waiting file or study."""

    since: datetime
    seconds: float


@dataclass(frozen=True)
class Disk:
    """The disk of TRIAGE_HOME; intake stops when `free_bytes` falls below `min_free_bytes`."""

    home: str
    free_bytes: int
    total_bytes: int
    min_free_bytes: int


@dataclass(frozen=True)
class Model:
    """The model folder that workers with these settings use; accuracy on Val as measured, `None` when it was not."""

    version: str
    engine: str
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    map50_tumour: float | None


@dataclass(frozen=True)
class Health:
    """One word, and a sentence for everything that is wrong."""

    state: HealthState
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """Field names are those of the JSON contract; every state and every queue is there, at 0 too.

    Attributes:
        analysing: how far long studies are that somebody works on now.
        queues: messages by queue, `None` when the broker does not answer.
        oldest_waiting: `None` when nothing waits.
        disk: `None` when TRIAGE_HOME cannot be read.
        model: `None` when there is none that can be used; `health` says why.
    """

    files: dict[str, int]
    studies: dict[str, int]
    waiting: Waiting
    analysing: tuple[StudyProgress, ...]
    queues: dict[str, int] | None
    oldest_waiting: OldestWaiting | None
    disk: Disk | None
    model: Model | None
    health: Health


def read_status(settings: Settings) -> Status:
    """Look at database, broker, disk and model.

    Raises:
        CommandError: the database is not there or does not answer.
    """
    now = datetime.now(UTC)
    lease = timedelta(seconds=settings.lease_seconds)
    with open_database(settings) as session:
        files = {state.value: 0 for state in FileState} | progress.count_by_state(session, ScanFile)
        studies = {state.value: 0 for state in StudyState} | progress.count_by_state(session, Study)
        analysing = tuple(progress.studies_in_progress(session, now))
        oldest = _oldest(session, now)
        reasons = stuck_stages(session, frozenset(Queue), now, lease)
    lengths = queue_lengths(settings)
    if lengths is None:
        reasons.append(broker_trouble(settings))
    reasons += disk_trouble(settings)
    model = _model(settings, reasons)
    return Status(
        files=files,
        studies=studies,
        waiting=Waiting(
            sum(files[state] for state in UNFINISHED_FILES), sum(studies[state] for state in UNFINISHED_STUDIES)
        ),
        analysing=analysing,
        queues=lengths,
        oldest_waiting=oldest,
        disk=_disk(settings),
        model=model,
        health=Health(HealthState.DEGRADED if reasons else HealthState.OK, tuple(reasons)),
    )


def _oldest(session: Session, now: datetime) -> OldestWaiting | None:
    since = progress.oldest_waiting(session)
    return None if since is None else OldestWaiting(since, max(0.0, (now - since).total_seconds()))


def _disk(settings: Settings) -> Disk | None:
    try:
        usage = shutil.disk_usage(settings.home)
    except OSError:
        return None
    return Disk(str(settings.home), usage.free, usage.total, settings.min_free_bytes)


def _model(settings: Settings, reasons: list[str]) -> Model | None:
    """The model's facts; what is wrong with it goes into `reasons`."""
    try:
        bundle = ModelBundle.load(settings.model_folder)
    except (FileNotFoundError, ModelFolderError) as error:
        reasons.append(f"The model cannot be used: {error}")
        return None
    metrics = bundle.metrics
    return Model(
        version=bundle.version,
        engine=settings.engine.value,
        accuracy=metrics.accuracy if metrics else None,
        accuracy_ci95=metrics.accuracy_ci95 if metrics else None,
        map50_tumour=metrics.map50_tumour if metrics else None,
    )
