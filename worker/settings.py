"""All settings, from `TRIAGE_*` environment variables, checked once when a process starts and passed down."""

import os
import re
import stat
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from trainer.runtime.predictor import EngineName
from worker.file_cost import seconds_for

DATABASE_FILE = "triage.db"
CONTAINER_SECRETS = Path("/run/secrets")
BUNDLED_MODELS = Path(__file__).resolve().parent.parent / "models"


class WatchMode(StrEnum):
    """How new files are noticed: kernel events, or listing (network shares send no events)."""

    INOTIFY = "inotify"
    POLLING = "polling"


class PageFormat(StrEnum):
    """Paper of the reports."""

    A4 = "A4"
    LETTER = "Letter"


def _octal(value: object) -> object:
    return int(value, 8) if isinstance(value, str) else value


class Settings(BaseSettings):
    """Every setting with its default; `docs/settings.md` is made from this class.

    Raises:
        pydantic.ValidationError: a value is out of range; the message names the variable.
    """

    model_config = SettingsConfigDict(env_prefix="TRIAGE_", extra="ignore")

    home: Path = Field(Path("triage-home"), description="Folder of inbox, outbox, store, database and broker files.")
    broker_url: str | None = Field(
        None, description="Celery broker, e.g. redis://host:6379/0, rediss:// with TLS. Default: files in home."
    )
    broker_password_file: Path | None = Field(None, description="File with the broker's password (Docker secret).")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL, e.g. postgresql+psycopg://user@host/triage. Default: SQLite in home."
    )
    database_password_file: Path | None = Field(None, description="File with the database password (Docker secret).")

    model: Path | None = Field(None, description="Model folder. Default: the newest one bundled in models/.")
    engine: EngineName = Field(
        EngineName.AUTO, description="auto, openvino (CPU), openvino-int8 (CPU, over twice as fast) or torch (GPU)."
    )
    threads: int = Field(0, ge=0, description="Inference threads of a worker process; 0: cores divided by processes.")
    batch_size: int = Field(8, ge=1, le=1024, description="Slices in one pass of the network.")

    watch: WatchMode = Field(WatchMode.INOTIFY, description="inotify, or polling for NFS and SMB shares.")
    settle_seconds: float = Field(1.0, gt=0, description="A closed file is complete when it stood still this long.")
    rescan_seconds: float = Field(60.0, gt=0, description="How often the whole inbox is listed, events or not.")
    sweep_seconds: float = Field(2.0, gt=0, description="How often due work without a message is looked for.")
    quiet_seconds: float = Field(20.0, ge=0, description="A DICOM study is complete when nothing came this long.")
    quiet_max_seconds: float = Field(600.0, ge=0, description="A study is read after this long, complete or not.")
    max_series: int = Field(8, ge=1, description="Series of a study that are read at most, the most telling first.")

    claim_size: int = Field(16, ge=1, le=1000, description="Rows one task takes at a time.")
    lease_seconds: float = Field(30.0, gt=0, description="A claimed row is free again after this long without renewal.")
    max_attempts: int = Field(
        3,
        ge=1,
        description="A row is given up after this many tries that killed a process, cost too much or met a bug; "
        "1 means 2, since the first may have died of another row.",
    )
    concurrency: int = Field(2, ge=1, description="Worker processes of one worker.")
    task_time_limit_seconds: float = Field(
        3600.0,
        gt=0,
        description="A task, which is a whole claim, archive or study, is killed after this long; at least twice what "
        "the largest file may take.",
    )
    max_memory_per_child_kb: int = Field(
        2_000_000, gt=0, description="A process above this is replaced after its task, kilobytes."
    )

    max_file_bytes: int = Field(512 * 2**20, gt=0, description="Larger files are refused.")
    max_pixels: int = Field(50_000_000, gt=0, description="Images with more pixels are refused before decoding.")
    max_frames: int = Field(4096, gt=0, description="DICOM objects with more frames are refused before decoding.")
    max_study_files: int = Field(20_000, gt=0, description="Further files of a study are refused.")
    max_archive_bytes: int = Field(
        4 * 2**30, gt=0, description="Archives that are larger, or whose files are, unpacked and together, are refused."
    )
    max_archive_entries: int = Field(20_000, gt=0, description="Archives with more entries are refused.")
    max_archive_ratio: int = Field(
        200, gt=0, description="Archives that unpack to more than so many times their size, and 16 MiB, are refused."
    )
    max_file_seconds: float = Field(
        5.0, gt=0, description="Reading a file may take this long, and again for every 2 MiB of it, or it fails."
    )
    max_file_memory_kb: int = Field(
        2_000_000, ge=100_000, description="Reading a file may take so much memory, kilobytes, or it fails."
    )
    min_free_bytes: int = Field(512 * 2**20, ge=0, description="Intake stops while the disk has less room than this.")

    max_wait_seconds: float = Field(
        4 * 3600.0, gt=0, description="A routine study that waits longer rises to the top of its work queue."
    )
    worklist_size: int = Field(500, ge=1, description="Most studies the worklist page shows.")
    page_format: PageFormat = Field(PageFormat.A4, description="A4 or Letter.")
    share_mode: Annotated[int, BeforeValidator(_octal)] = Field(
        0o770,
        description="Permissions of inbox (sticky too) and outbox folders, octal; files get the same without execute.",
    )
    patient_text: bool = Field(
        True,
        description="off: names, ids, dates, descriptions and file names are not kept or shown; see docs/privacy.md.",
    )
    log_json: bool = Field(False, description="Log one JSON object a line instead of text.")

    @model_validator(mode="after")
    def _absolute_paths(self) -> "Settings":
        self.home = self.home.expanduser().absolute()
        if self.quiet_max_seconds < self.quiet_seconds:
            raise ValueError("TRIAGE_QUIET_MAX_SECONDS must not be below TRIAGE_QUIET_SECONDS")
        least = 2 * seconds_for(self.max_file_bytes, self.max_file_seconds)
        if self.task_time_limit_seconds < least:
            raise ValueError(
                f"TRIAGE_TASK_TIME_LIMIT_SECONDS must be at least {least:.0f}, which is twice what "
                "TRIAGE_MAX_FILE_SECONDS lets a file of TRIAGE_MAX_FILE_BYTES take"
            )
        return self

    @property
    def inbox(self) -> Path:
        """Where people drop scans."""
        return self.home / "inbox"

    @property
    def claimed(self) -> Path:
        """Claimed files, on the inbox's own file system so that a claim is one atomic rename."""
        return self.inbox / ".claimed"

    @property
    def outbox(self) -> Path:
        """Where reports, rejected files and the worklist appear."""
        return self.home / "outbox"

    @property
    def store(self) -> Path:
        """Content-addressed copies of every file received."""
        return self.home / "store"

    @property
    def unpacking(self) -> Path:
        """Where archives are unpacked: in the store, so that each member gets to its place in it by a rename."""
        return self.store / ".unpacking"

    @property
    def broker_folder(self) -> Path:
        """Messages of the embedded broker."""
        return self.home / "broker"

    @property
    def pseudonym_key(self) -> Path:
        """Key of the pseudonyms that stand for ids where `patient_text` is off; all workers need the same."""
        return self.home / "pseudonym.key"

    @property
    def cache(self) -> Path:
        """The network as it was compiled for this machine."""
        return self.home / "cache"

    @property
    def embedded_broker(self) -> bool:
        """True when no broker server is configured."""
        return self.broker_url is None

    @property
    def resolved_database_url(self) -> str:
        """The database URL with the password of `database_password_file` put in."""
        if self.database_url is None:
            return f"sqlite:///{self.home / DATABASE_FILE}"
        return _with_password(self.database_url, self.database_password_file)

    @property
    def resolved_broker_url(self) -> str:
        """The broker URL with the password of `broker_password_file` put in."""
        if self.broker_url is None:
            return "filesystem://localhost"
        return _checking_certificates(_with_password(self.broker_url, self.broker_password_file))

    @property
    def exposed_password_files(self) -> tuple[str, ...]:
        """Variables that name a password file which others than its owner may read.

        `/run/secrets` is left out: it is a container's own, and docker mounts what lies there for everybody.
        """
        files = {
            "TRIAGE_BROKER_PASSWORD_FILE": self.broker_password_file,
            "TRIAGE_DATABASE_PASSWORD_FILE": self.database_password_file,
        }
        return tuple(name for name, path in files.items() if path is not None and _is_exposed(path))

    @property
    def model_folder(self) -> Path:
        """The configured model, else the bundled one with the highest version.

        Raises:
            FileNotFoundError: no model is configured and none is bundled.
        """
        if self.model is not None:
            return self.model
        bundled = sorted(
            (path.parent for path in BUNDLED_MODELS.glob("*/model.json")),
            key=lambda folder: version_numbers(folder.name),
        )
        if not bundled:
            raise FileNotFoundError(f"no model in {BUNDLED_MODELS}: set TRIAGE_MODEL to a model folder")
        return bundled[-1]

    @property
    def inference_threads(self) -> int:
        """Threads of one process, so that all processes together use every core once."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.concurrency)


def version_numbers(version: str) -> tuple[int, ...]:
    """By which versions of models are ordered: 2026.9 before 2026.11."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _with_password(url: str, password_file: Path | None) -> str:
    if password_file is None:
        return url
    password = quote(password_file.read_text().strip(), safe="")
    scheme, _, rest = url.partition("://")
    place, question, query = rest.partition("?")
    user, _, host = place.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:{password}@{host}{question}{query}"


def _checking_certificates(url: str) -> str:
    """Of a broker with TLS the certificate is checked unless the URL says otherwise; kombu by itself checks none."""
    if not url.startswith("rediss://"):
        return url
    wanted = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
    if "ssl_cert_reqs=" in url:
        return url
    missing = "&".join(f"{name}={value}" for name, value in wanted.items() if f"{name}=" not in url)
    return f"{url}{'&' if '?' in url else '?'}{missing}"


def _is_exposed(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # whoever reads it says so
    return bool(mode & (stat.S_IRGRP | stat.S_IROTH)) and not path.absolute().is_relative_to(CONTAINER_SECRETS)


def what_is_wrong(error: ValidationError) -> list[str]:
    """One sentence for each setting that is wrong; secrets are not repeated."""
    return [_sentence(wrong) for wrong in error.errors()]


def _sentence(wrong: ErrorDetails) -> str:
    message = wrong["msg"].removeprefix("Value error, ")
    if not wrong["loc"]:
        return f"{message}."
    name = f"TRIAGE_{wrong['loc'][0]}".upper()
    given = "" if name.endswith(("_URL", "_FILE")) else f" (it is {str(wrong['input'])!r})"  # a URL may hold a password
    return f"{name}: {message[:1].lower()}{message[1:]}{given}; see docs/settings.md."
