"""Which signals a prefork child obeys: its parent's.

systemd, `timeout` and a closing terminal send SIGTERM to every process of the worker. Children that died of it would
drop the rows in hand and leave a parent in its warm shutdown that waits for them for ever. They cannot ignore it
either: billiard ends children by SIGTERM in a cold shutdown and waits until they are gone.
"""

import os
import signal
import threading
from typing import Any

from celery import signals


def obey_the_parent_alone() -> None:
    """From now on the children of this process take SIGTERM from nobody else."""
    signals.worker_process_init.connect(_listen, weak=False)


def _listen(**_: Any) -> None:
    if not hasattr(signal, "sigwaitinfo"):
        return  # macOS
    # a handler written in Python is not told who sent the signal; threads made later inherit the mask
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_relay, args=(os.getppid(),), name="sigterm", daemon=True).start()


def _relay(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    # billiard handles both alike: the child leaves, through its `finally` blocks
    os.kill(os.getpid(), signal.SIGQUIT)
