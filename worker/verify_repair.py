"""What an audit may put right: waste goes, the worklist page is asked for. Nothing that a row names is touched."""

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from worker.findings import Finding, Trouble
from worker.settings import Settings
from worker.verify import HOUR, is_older


def repair(settings: Settings, findings: Iterable[Finding], now: float, want_page: Callable[[], None]) -> list[Finding]:
    """Put right what can be; returns that."""
    repaired = []
    for finding in findings:
        path = settings.home / finding.subject
        if finding.trouble is Trouble.PAGE_STALE:
            want_page()
        elif finding.trouble in (Trouble.OBJECT_ORPHAN, Trouble.PART_LEFT_OVER):
            if not _remove_file(path, now):
                continue
        elif finding.trouble in (Trouble.CLAIM_LEFT_OVER, Trouble.UNPACKING_LEFT_OVER):
            shutil.rmtree(path, ignore_errors=True)
        elif finding.trouble is Trouble.PURGE_LEFT_OVER:
            if path.parent.is_symlink() or not _remove_purged(path, now):
                continue
        else:
            continue
        repaired.append(finding)
    return repaired


def _remove_purged(path: Path, now: float) -> bool:
    """A report, or the folder of a rejected file, whose number nothing else will ever have."""
    if path.suffix == ".pdf":
        return _remove_file(path, now)
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _remove_file(path: Path, now: float) -> bool:
    """Remove it unless it was written again meanwhile: the same bytes may have come anew, and have a row by now."""
    aside = path.with_name(f".{uuid4().hex}.part")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if is_older(aside, now, HOUR):
            aside.unlink()
            return True
        aside.rename(path)
    return False
