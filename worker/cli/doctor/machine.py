"""What the operating system gives a process, and what is installed."""

import platform
import resource
from collections.abc import Iterator
from importlib.metadata import version

from worker.cli.doctor.lines import Line, ok, warning
from worker.settings import Settings

MACHINE = "machine"
ENOUGH_FILES = 1024
NAMED = ("celery", "kombu", "sqlalchemy", "alembic", "openvino", "pydicom", "pillow")


def check_machine(_settings: Settings) -> Iterator[Line]:
    """Versions, and the limit of open files."""
    versions = ", ".join(f"{name} {version(name)}" for name in NAMED)
    yield ok(
        MACHINE, f"brain-mri-triage {version('brain-mri-triage')}, Python {platform.python_version()}, {versions}."
    )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    sentence = f"A process may have {'any number of' if files == resource.RLIM_INFINITY else files} files open."
    if files != resource.RLIM_INFINITY and files < ENOUGH_FILES:
        yield warning(MACHINE, sentence, f"Raise it: `ulimit -n {ENOUGH_FILES}`, or LimitNOFILE= of systemd.")
    else:
        yield ok(MACHINE, sentence)
