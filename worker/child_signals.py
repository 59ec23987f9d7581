"""Which signals a prefork child obeys: its parent's.

systemd and `timeout` send SIGTERM to every process of the worker; a closing terminal sends SIGHUP, on which a parent
that writes elsewhere starts anew. Children that died of either would drop the rows in hand, and could leave a parent in
its warm shutdown that waits for them for ever. SIGHUP they ignore. SIGTERM they cannot: billiard ends children by it in
a cold shutdown and waits until they are gone.
"""

import os
import signal
import threading
from typing import Any

from celery import signals


def obey_the_parent_alone() -> None:
    """From now on the children of this process take SIGTERM from nobody else, and SIGHUP from nobody."""
    signals.worker_process_init.connect(_listen, weak=False)


def _listen(**_: Any) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # billiard's own handlers, set after this, leave it at that
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
