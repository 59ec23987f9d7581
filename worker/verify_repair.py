"""What an audit may put right: waste goes, the outbox gets again what the store has, the worklist page is asked for."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from worker.findings import Finding, Trouble
from worker.folder_descriptors import folder_below
from worker.settings import Settings
from worker.verify import HOUR, is_older


def repair(
    settings: Settings,
    findings: Iterable[Finding],
    now: float,
    want_page: Callable[[], None],
    deliver_again: Callable[[Finding], bool],
) -> list[Finding]:
    """Put right what can be; returns that. What a row names is never removed."""

    def ask_for_page(_: Finding) -> bool:
        want_page()
        return True

    def remove_file(finding: Finding) -> bool:
        return _remove_file(settings.home, finding.subject, now)

    def remove_folder(finding: Finding) -> bool:
        return _remove_folder(settings.home, finding.subject)

    def remove_purged(finding: Finding) -> bool:
        """A report, or the folder of a rejected file, whose number nothing else will ever have."""
        return (remove_file if finding.subject.endswith(".pdf") else remove_folder)(finding)

    remedies: dict[Trouble, Callable[[Finding], bool]] = {
        Trouble.PAGE_STALE: ask_for_page,
        Trouble.OBJECT_ORPHAN: remove_file,
        Trouble.PART_LEFT_OVER: remove_file,
        Trouble.CLAIM_LEFT_OVER: remove_folder,
        Trouble.UNPACKING_LEFT_OVER: remove_folder,
        Trouble.PURGE_LEFT_OVER: remove_purged,
    }
    return [finding for finding in findings if remedies.get(finding.trouble, deliver_again)(finding)]


def _remove_folder(home: Path, subject: str) -> bool:
    """Remove it with all that is in it, through no link; is it gone?"""
    place, *rest = Path(subject).parts
    path = Path(*rest)
    try:
        with folder_below(home / place, path.parent) as folder:
            shutil.rmtree(path.name, dir_fd=folder)
    except FileNotFoundError:  # somebody else was faster
        return True
    except OSError:
        return False
    return True


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
