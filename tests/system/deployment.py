"""A real deployment as child processes: Celery workers on a home folder of their own, any broker and database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from sqlalchemy.orm import Session, sessionmaker

from worker.settings import Settings
from worker.store.models import UNFINISHED_FILES, UNFINISHED_STUDIES, ScanFile, Study
from worker.store.progress import count_by_state
from worker.store.session import open_engine, session_factory

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.1
READY = b"Ready."


def wait_until(holds: Callable[[], bool], seconds: float, what: str, explain: Callable[[], str] = str) -> None:
    """Poll until `holds`, or fail after `seconds` with `what` and the explanation."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s: {explain()}")
        time.sleep(POLL_SECONDS)


@dataclass
class Worker:
    """One `celery -A worker worker` process group and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """kill -9 parent and children, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C or `docker stop` do; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def stop_group(self) -> int:
        """Ask parent and children alike to stop, as systemd and `timeout` do; returns the parent's exit status."""
        os.killpg(self.process.pid, signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def hang_up_group(self) -> None:
        """SIGHUP to parent and children, as a closing terminal sends it; the parent starts itself anew."""
        starts = self.log.read_bytes().count(READY)
        os.killpg(self.process.pid, signal.SIGHUP)
        wait_until(
            lambda: self.log.read_bytes().count(READY) > starts or self.process.poll() is not None,
            START_SECONDS, "a new start", self.log.read_text,
        )  # fmt: skip
        assert self.process.poll() is None, self.log.read_text()

    @property
    def children(self) -> list[int]:
        """The prefork children's process ids."""
        # by the thread that forked each: billiard replaces children from a thread of its own
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return sorted(int(number) for path in threads for number in path.read_text().split())


@dataclass
class Deployment:
    """Workers, settings and eyes on the database."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """The settings its workers see."""
        names = {name.removeprefix("TRIAGE_").lower(): value for name, value in self.all_environment.items()}
        return Settings(**{name: value for name, value in names.items() if name in Settings.model_fields})

    @property
    def all_environment(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {
            "TRIAGE_HOME": str(self.home),
            "TRIAGE_SETTLE_SECONDS": "0.3",
            "TRIAGE_QUIET_SECONDS": "2",
            "TRIAGE_SWEEP_SECONDS": "0.5",
            "TRIAGE_LEASE_SECONDS": "5",
        } | self.environment

    def start(self, *options: str, application: str = "worker") -> Worker:
        """Start a worker and wait until it is ready."""
        worker = self.launch(*options, application=application)
        self.wait_until_ready(worker)
        return worker

    def launch(self, *options: str, application: str = "worker") -> Worker:
        """Start a worker; `application` is what celery's `-A` names."""
        self.home.mkdir(parents=True, exist_ok=True)
        number = len(self.workers)
        log = self.home.parent / f"worker-{number}.log"
        # not `python -m celery`, which cannot start itself anew after SIGHUP
        celery = str(Path(sys.executable).with_name("celery"))
        command = [celery, "-A", application, "worker", "-n", f"w{number}@%h", *options]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, env=os.environ | self.all_environment, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def wait_until_ready(self, worker: Worker) -> None:
        """Wait for its word that it is."""
        process, log = worker.process, worker.log
        wait_until(
            lambda: READY in log.read_bytes() or process.poll() is not None, START_SECONDS, "start", log.read_text
        )
        assert process.poll() is None, log.read_text()

    def ask(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`python -m worker` as an operator calls it."""
        return subprocess.run(
            [sys.executable, "-m", "worker", *arguments], cwd=REPOSITORY,
            env=os.environ | self.all_environment | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def drop(self, name: str, content: bytes) -> None:
        """Put a file into the inbox as a careful program does: written under another name, then renamed."""
        target = self.settings.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{os.urandom(4).hex()}.part")
        temporary.write_bytes(content)
        temporary.rename(target)

    @property
    def sessions(self) -> sessionmaker[Session]:
        """Sessions on the deployment's database."""
        return session_factory(open_engine(self.settings.resolved_database_url))

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Files and studies by state."""
        with self.sessions.begin() as session:
            return count_by_state(session, ScanFile), count_by_state(session, Study)

    def is_done(self, files: int) -> bool:
        """Have `files` files been taken, and is nothing of them or their studies left to do?"""
        file_counts, study_counts = self.counts()
        waiting = file_counts.keys() & UNFINISHED_FILES or study_counts.keys() & UNFINISHED_STUDIES
        return sum(file_counts.values()) >= files and not waiting

    def wait_until_done(self, files: int, seconds: float = 180.0) -> None:
        """Wait for the last report of `files` dropped files."""

        def explain() -> str:
            return f"{self.counts()}\n{self.logs()}"

        wait_until(lambda: self.is_done(files), seconds, f"{files} files done", explain)

    def logs(self) -> str:
        """All that the workers wrote."""
        return "\n".join(worker.log.read_text(errors="replace") for worker in self.workers)

    def reports(self) -> list[str]:
        """Names of the PDFs in the outbox, sorted."""
        return sorted(path.name for path in (self.settings.outbox / "reports").glob("*.pdf"))

    def close(self) -> None:
        """Kill whatever still runs."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()


def answers(sessions: sessionmaker[Session]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """What each study got: public id to (state, label, sorted file names)."""
    with sessions.begin() as session:
        studies: Iterable[Study] = session.query(Study).all()
        return {
            study.public_id: (
                study.state,
                study.results[-1].label if study.results else "",
                tuple(sorted(file.original_name for file in study.files)),
            )
            for study in studies
        }


def compose_options(service: str) -> tuple[str, ...]:
    """What docker-compose.yml gives the `celery -A worker worker` of a service beyond these words."""
    command = YAML(typ="safe").load(REPOSITORY / "docker-compose.yml")["services"][service]["command"]
    assert command[:4] == ["celery", "-A", "worker", "worker"]
    return tuple(command[4:])
