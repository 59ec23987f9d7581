"""What an audit may put right: waste goes, the outbox gets again what the store has, the worklist page is asked for."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from worker.file_age import HOUR, is_older
from worker.findings import Finding, Trouble
from worker.folder_descriptors import folder_below
from worker.settings import Settings


def repair(
    settings: Settings,
    findings: Iterable[Finding],
    now: float,
    want_page: Callable[[], None],
    deliver_again: Callable[[Finding], bool],
) -> list[Finding]:
    """Put right what can be; returns that. What a row names is never removed."""
    repaired = []
    for finding in findings:
        path = settings.home / finding.subject
        if finding.trouble is Trouble.PAGE_STALE:
            want_page()
        elif finding.trouble in (Trouble.OBJECT_ORPHAN, Trouble.PART_LEFT_OVER):
            if not _remove_file(settings.home, finding.subject, now):
                continue
        elif finding.trouble in (Trouble.CLAIM_LEFT_OVER, Trouble.UNPACKING_LEFT_OVER):
            shutil.rmtree(path, ignore_errors=True)
        elif finding.trouble is Trouble.PURGE_LEFT_OVER:
            if path.parent.is_symlink() or not _remove_purged(settings.home, finding.subject, now):
                continue
        elif not deliver_again(finding):
            continue
        repaired.append(finding)
    return repaired


def _remove_purged(home: Path, subject: str, now: float) -> bool:
    """A report, or the folder of a rejected file, whose number nothing else will ever have."""
    path = home / subject
    if path.suffix == ".pdf":
        return _remove_file(home, subject, now)
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _remove_file(home: Path, subject: str, now: float) -> bool:
    """Remove it unless it was written again meanwhile: the same bytes may have come anew, and have a row by now.

    Its folder may be one that others put links into, after the audit too.
    """
    place, *rest = Path(subject).parts
    path, aside = Path(*rest), f".{uuid4().hex}.part"
    with suppress(OSError), folder_below(home / place, path.parent) as folder:
        os.rename(path.name, aside, src_dir_fd=folder, dst_dir_fd=folder)
        is_file = stat.S_ISREG(os.stat(aside, dir_fd=folder, follow_symlinks=False).st_mode)
        if is_file and is_older(aside, now, HOUR, folder):
            os.unlink(aside, dir_fd=folder)
            return True
        os.rename(aside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    return False
