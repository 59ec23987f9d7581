"""What a prefork child leaves behind when it crashes: no core dump, which would hold patients' pictures."""

import resource
from typing import Any

from celery import signals


def leave_no_core_dumps() -> None:
    """From now on the children of this process write none, whatever the system's settings are."""
    signals.worker_process_init.connect(_forbid, weak=False)


def _forbid(**_: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
