"""What operators see: logs without patient data, the words at start, and the signals around a worker's life."""

import logging
import sys
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import click
import structlog
from celery import signals
from click.core import ParameterSource
from sqlalchemy.exc import OperationalError

from trainer.runtime.bundle import ModelBundle, ModelFolderError
from worker.folders import is_open_to_others, keep_private, make_all_but_store, make_store
from worker.migrate import NewerDatabaseError, migrate
from worker.services import Services, pseudonyms_for
from worker.settings import Settings
from worker.store.away import missing_store
from worker.store.objects import StoreAwayError

if TYPE_CHECKING:
    from worker.app import TriageApp

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 16
QUIET_LOGGERS = (
    "alembic",
    "celery.app.trace",
    "celery.worker.request",  # a line for every bell that came too late
    "celery.worker.strategy",
    "kombu",
    "watchdog",
    "PIL",
    "pydicom",
)


def configure_logging(settings: Settings, level: int = logging.INFO) -> None:
    """Send every log line to standard error, as text or JSON; libraries that repeat file contents are turned down."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def prepare_home(app: "TriageApp") -> None:
    """Before a worker starts: logging, folders, database schema."""
    settings = app.services.settings

    @signals.setup_logging.connect(weak=False)
    def _set_up_logging(loglevel: int | None = None, **_: Any) -> None:
        configure_logging(settings, _level(loglevel))

    @signals.celeryd_init.connect(weak=False)
    def _prepare(**_: Any) -> None:
        # celery logs what a signal handler raises and goes on; SystemExit it lets through
        try:
            make_all_but_store(settings)
            keep_private()
            pseudonyms_for(settings)
            if is_open_to_others(settings.home):
                logger.warning("TRIAGE_HOME can be written to by others than its owner: chmod go-w")
            for name in settings.exposed_password_files:
                logger.warning("the file of %s can be read by others than its owner: chmod 600", name)
            _migrate_once_it_answers(settings.resolved_database_url, is_server=settings.database_url is not None)
            _refuse_without_store(app.services)
            make_store(settings)
            ModelBundle.load(settings.model_folder)
        except OperationalError as error:
            sys.exit(f"The database does not answer ({error.orig}); start it, or check TRIAGE_DATABASE_URL.")
        except (ModelFolderError, NewerDatabaseError, OSError) as error:
            sys.exit(f"The worker cannot start: {error}")


def _migrate_once_it_answers(url: str, *, is_server: bool) -> None:
    """A server may still be starting, or somebody hold a lock on the file: wait, as Celery waits for its broker."""
    for attempt in count():
        try:
            migrate(url)
        except OperationalError as error:
            if not (is_server or getattr(error.orig, "sqlite_errorname", None) == "SQLITE_BUSY"):
                raise
            seconds = min(2**attempt, LONGEST_WAIT_SECONDS)
            reason = str(error.orig).partition("\n")[0]
            logger.warning("the database does not answer (%s); trying again in %d s", reason, seconds)
            time.sleep(seconds)
        else:
            return


def _refuse_without_store(services: Services) -> None:
    """A new store in the place of one that is not mounted would have every stored scan given up.

    Raises:
        StoreAwayError: the database names what is in it.
    """
    missing = missing_store(services.objects, services.session.begin)
    if missing is not None:
        raise StoreAwayError(" ".join(missing))


def _level(loglevel: int | None) -> int:
    """What `-l` asks for, else INFO: celery hands its own default, WARNING, over as if somebody had asked for it."""
    command = click.get_current_context(silent=True)
    asked = command is not None and command.get_parameter_source("loglevel") is not ParameterSource.DEFAULT
    return loglevel if loglevel and asked else logging.INFO


def announce(app: "TriageApp") -> None:
    """Once a worker is ready: say in plain words where to drop scans and where reports appear."""
    settings = app.services.settings

    @signals.worker_ready.connect(weak=False)
    def _say(**_: Any) -> None:
        print(  # noqa: T201  the user's terminal, not the log
            f"\nReady.\n  Drop scans (JPEG, PNG, DICOM, folders, .zip) into  {settings.inbox}\n"
            f"  Reports appear in                                   {settings.outbox}\n"
            f"  Open the worklist                                   {settings.outbox / 'index.html'}\n"
            f"  Model {settings.model_folder.name}. Research use only, not a medical device. Stop with Ctrl-C.\n",
            flush=True,
        )
