"""Tables. State names are stored as text so that a dump can be read; `worker.pipeline` says who moves which."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, relationship

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in Python; SQLite, which has no time zones, gets the same moment without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, hand UTC to the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times must be timezone-aware")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's
        """Give back aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


FrameList = list[dict[str, Any]]


class Base(DeclarativeBase):
    """Root of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        list[str]: JSON,
        list[float]: JSON,
        FrameList: JSON,
        dict[str, Any]: JSON,
        list[list[float]]: JSON,
    }


class FileState(StrEnum):
    """`claimed` is due for intake, `rejecting` for delivery; the others are final."""

    CLAIMED = "claimed"
    READ = "read"
    LEFT_OUT = "left_out"
    DUPLICATE = "duplicate"
    REJECTING = "rejecting"
    REJECTED = "rejected"

    @property
    def outcome(self) -> str:
        """What became of the file, in the words of `predict`."""
        return {FileState.CLAIMED: "waiting", FileState.REJECTING: "rejected"}.get(self, self.value)


UNFINISHED_FILES = (FileState.CLAIMED, FileState.REJECTING)


class StudyState(StrEnum):
    """`collecting` is due for analysis once quiet, `analysed` for its report, `rendered` for delivery."""

    COLLECTING = "collecting"
    ANALYSED = "analysed"
    RENDERED = "rendered"
    REPORTED = "reported"
    FAILED = "failed"


UNFINISHED_STUDIES = (StudyState.COLLECTING, StudyState.ANALYSED, StudyState.RENDERED)


class ChoreState(StrEnum):
    """A chore is `due` for delivery or `done`."""

    DUE = "due"
    DONE = "done"


class Claimable:
    """Columns of rows that tasks take: who has it until when, when it is due, how often it was tried.

    `attempts` counts claims, `crashes` those among them that ran out because the claimer died or met a bug.

    `rank` orders what is due, lowest first; `waiting_since` breaks ties, longest first.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    rank: Mapped[int]
    waiting_since: Mapped[datetime]
    not_before: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805  SQLAlchemy hands the class
        table = cls.__tablename__  # type: ignore[attr-defined]
        # events and rejected files go by the id of a row: that of a purged one is never given again
        keeps_count = {"sqlite_autoincrement": True} if table != "chore" else {}
        return (Index(f"ix_{table}_due", "state", "not_before"), keeps_count)


class ScanFile(Claimable, Base):
    """One file taken from the inbox. `original_name` is patient data: for pages, never for logs.

    Of a rejected DICOM file `study_uid` and `series_name` say what it would have been part of, as far as it reads.
    """

    __tablename__ = "file"

    claim_id: Mapped[str] = mapped_column(String(32), unique=True)
    original_name: Mapped[str]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    reason: Mapped[str | None] = mapped_column(String(32))
    message: Mapped[str | None]
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), index=True)
    archive_id: Mapped[int | None] = mapped_column(ForeignKey("file.id"), index=True)
    study_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    series_name: Mapped[str | None]
    received_at: Mapped[datetime]

    study: Mapped["Study | None"] = relationship(back_populates="files")


class Study(Claimable, Base):
    """One study; `public_id` is what people and scripts call it, made from the UID by a hash.

    `slices_done` of `slices_total` are analysed while somebody holds a long study; otherwise they mean nothing.
    """

    __tablename__ = "study"

    public_id: Mapped[str] = mapped_column(String(12), unique=True)
    study_uid: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(8))
    revision: Mapped[int] = mapped_column(default=1)
    incomplete: Mapped[bool] = mapped_column(default=False)
    patient_name: Mapped[str | None]
    patient_id: Mapped[str | None]
    patient_id_conflict: Mapped[bool] = mapped_column(default=False)
    patient_birth_date: Mapped[str | None]
    patient_sex: Mapped[str | None]
    patient_age: Mapped[str | None]
    study_date: Mapped[str | None]
    study_description: Mapped[str | None]
    priority: Mapped[str | None] = mapped_column(String(8), index=True)
    failure: Mapped[str | None]
    received_at: Mapped[datetime]
    reported_at: Mapped[datetime | None]
    slices_done: Mapped[int | None]
    slices_total: Mapped[int | None]

    files: Mapped[list[ScanFile]] = relationship(back_populates="study", order_by=ScanFile.id)
    instances: Mapped[list["Instance"]] = relationship(back_populates="study", order_by="Instance.id")
    results: Mapped[list["Result"]] = relationship(back_populates="study", order_by="Result.revision")
    reports: Mapped[list["Report"]] = relationship(back_populates="study", order_by="Report.revision")


class Series(Base):
    """One series of a study."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    series_uid: Mapped[str] = mapped_column(String(64))
    number: Mapped[int | None]
    description: Mapped[str | None]
    modality: Mapped[str | None] = mapped_column(String(16))


class Instance(Base):
    """One readable image of a study; its bytes are the stored object `sha256`, `grey_range` is black and white.

    Of a multi-frame image `frames` says where each frame lies, by the names of the columns before it, which are
    those of its first frame, and how it was acquired. `None` of any other.
    """

    __tablename__ = "instance"
    __table_args__ = (Index("ix_instance_sop_uid", "sop_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("file.id"), index=True)
    sop_uid: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    instance_number: Mapped[int | None]
    rows: Mapped[int]
    columns: Mapped[int]
    spacing_mm: Mapped[list[float] | None]
    position_mm: Mapped[list[float] | None]
    orientation: Mapped[list[float] | None]
    frames: Mapped[FrameList | None]
    acquisition: Mapped[dict[str, Any] | None]
    grey_range: Mapped[list[float] | None]
    warning: Mapped[str | None]

    study: Mapped[Study] = relationship(back_populates="instances")
    series: Mapped[Series] = relationship()
    predictions: Mapped[list["Prediction"]] = relationship(back_populates="instance", order_by="Prediction.revision")


class Prediction(Base):
    """The model's answer for one frame of an instance in one revision; probabilities in the order of the class list."""

    __tablename__ = "prediction"
    __table_args__ = (UniqueConstraint("instance_id", "frame", "revision", "model_version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), index=True)
    frame: Mapped[int] = mapped_column(default=1)
    revision: Mapped[int]
    model_version: Mapped[str] = mapped_column(String(64))
    probabilities: Mapped[list[float]]
    classifier_probabilities: Mapped[list[float]]

    instance: Mapped[Instance] = relationship(back_populates="predictions")
    boxes: Mapped[list["LesionBox"]] = relationship(order_by="LesionBox.id", cascade="all, delete-orphan")


class LesionBox(Base):
    """One lesion box, pixels of the decoded instance, origin top left; its corners in the patient, LPS mm, if known."""

    __tablename__ = "box"

    id: Mapped[int] = mapped_column(primary_key=True)
    prediction_id: Mapped[int] = mapped_column(ForeignKey("prediction.id"), index=True)
    label: Mapped[str] = mapped_column(String(16))
    score: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    x2: Mapped[float]
    y2: Mapped[float]
    corners_mm: Mapped[list[list[float]] | None]


class Result(Base):
    """The answer for one revision of a study."""

    __tablename__ = "result"
    __table_args__ = (UniqueConstraint("study_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    revision: Mapped[int]
    label: Mapped[str] = mapped_column(String(16))
    probabilities: Mapped[list[float]]
    priority: Mapped[str] = mapped_column(String(8))
    review_reasons: Mapped[list[str]]
    model_version: Mapped[str] = mapped_column(String(64))
    engine: Mapped[str] = mapped_column(String(16))
    analysed_at: Mapped[datetime]

    study: Mapped[Study] = relationship(back_populates="results")


class Report(Base):
    """The PDF of one revision: its stored object, and its place in the outbox once delivered."""

    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("study_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    revision: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str]
    thumbnail_jpeg: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    rendered_at: Mapped[datetime]

    study: Mapped[Study] = relationship(back_populates="reports")


class Chore(Claimable, Base):
    """Upkeep that must not run twice at once: the worklist page. `wanted` counts reasons to do it again."""

    __tablename__ = "chore"

    name: Mapped[str] = mapped_column(String(16), unique=True)
    wanted: Mapped[int] = mapped_column(default=0)


class Event(Base):
    """What happened when, appended and never changed, which the database sees to; no patient data.

    An event outlives the rows it tells of: `purge` removes those, and their ids are never given again.
    """

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_kind_at", "kind", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    study_id: Mapped[int | None] = mapped_column(index=True)
    file_id: Mapped[int | None] = mapped_column(index=True)
    detail: Mapped[str | None]
