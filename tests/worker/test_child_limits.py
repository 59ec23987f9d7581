"""Prefork children leave no core dumps."""

import os
import resource

from worker import child_limits


def test_a_child_may_write_no_core_dump() -> None:
    child = os.fork()
    if not child:
        child_limits._forbid()
        os._exit(0 if resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) else 1)
    assert os.waitpid(child, 0)[1] == 0
