"""What a worker process works with, opened on first use in that process and never shared across a fork."""

import shutil
from datetime import UTC, datetime, timedelta
from functools import cached_property

from sqlalchemy.orm import Session, sessionmaker

from trainer.runtime.bundle import ModelBundle
from trainer.runtime.predictor import Predictor, load_predictor
from worker.intake.limits import IntakeLimits
from worker.settings import Settings
from worker.store.objects import ObjectStore
from worker.store.pseudonyms import Pseudonyms
from worker.store.session import ForkGuard, open_engine, session_factory


def pseudonyms_for(settings: Settings) -> Pseudonyms | None:
    """What is written in place of scans' text; `None` where `TRIAGE_PATIENT_TEXT` is on.

    Raises:
        OSError: their key can be neither read nor made.
    """
    return None if settings.patient_text else Pseudonyms.of_key_file(settings.pseudonym_key)


def intake_limits(settings: Settings) -> IntakeLimits:
    """The settings that bound what one input may cost; the rest of the limits is not for users to choose."""
    return IntakeLimits(
        max_file_bytes=settings.max_file_bytes,
        max_pixels=settings.max_pixels,
        max_frames=settings.max_frames,
        max_study_files=settings.max_study_files,
        max_archive_bytes=settings.max_archive_bytes,
        max_archive_entries=settings.max_archive_entries,
        max_archive_ratio=settings.max_archive_ratio,
        max_file_seconds=settings.max_file_seconds,
        max_file_memory_bytes=settings.max_file_memory_kb * 1024,
    )


class Services:
    """Database, object store and predictor of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.parent_work = ForkGuard()
        self.objects = ObjectStore(settings.store)
        self.limits = intake_limits(settings)

    @cached_property
    def session(self) -> sessionmaker[Session]:
        """Sessions on the configured database; connections are not pooled, so a fork inherits none."""
        engine = open_engine(self.settings.resolved_database_url)
        return session_factory(engine, pseudonyms_for(self.settings))

    @cached_property
    def predictor(self) -> Predictor:
        """The network, loaded when the first study is analysed: before the fork it would hang the children."""
        return load_predictor(
            self.settings.model_folder,
            self.settings.engine,
            threads=self.settings.inference_threads,
            cache=self.settings.cache,
        )

    @cached_property
    def bundle(self) -> ModelBundle:
        """The model folder's facts, without loading the network."""
        return ModelBundle.load(self.settings.model_folder)

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts."""
        return timedelta(seconds=self.settings.lease_seconds)

    def has_room(self, wanted_bytes: int = 0) -> bool:
        """Would so much more leave the free space that intake needs to keep clear?"""
        return shutil.disk_usage(self.settings.home).free - wanted_bytes >= self.settings.min_free_bytes

    @staticmethod
    def now() -> datetime:
        """The clock of everything that is stored, UTC."""
        return datetime.now(UTC)
