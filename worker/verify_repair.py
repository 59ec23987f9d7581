"""What an audit may put right: waste goes, the outbox gets again what the store has, the worklist page is asked for."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from worker.file_age import HOUR, is_older
from worker.findings import Finding, Trouble
from worker.folder_descriptors import folder_below, open_inner
from worker.settings import Settings


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
        return remove_file(finding) if finding.subject.endswith(".pdf") else remove_folder(finding)

    cures: dict[Trouble, Callable[[Finding], bool]] = {
        Trouble.PAGE_STALE: ask_for_page,
        Trouble.OBJECT_ORPHAN: remove_file,
        Trouble.PART_LEFT_OVER: remove_file,
        Trouble.CLAIM_LEFT_OVER: remove_folder,
        Trouble.UNPACKING_LEFT_OVER: remove_folder,
        Trouble.PURGE_LEFT_OVER: remove_purged,
        Trouble.REPORT_MISSING: deliver_again,
        Trouble.REPORT_DAMAGED: deliver_again,
        Trouble.REJECTION_INCOMPLETE: deliver_again,
        Trouble.REJECTION_DAMAGED: deliver_again,
    }
    return [finding for finding in findings if finding.trouble in cures and cures[finding.trouble](finding)]


def _remove_folder(home: Path, subject: str) -> bool:
    """Remove it with what is in it; is it gone? Never through a link, be it swapped in at this moment."""
    with suppress(OSError), _folder_of(home, subject) as (folder, name):
        with suppress(OSError):
            os.close(open_inner(name, folder))  # of a pipe, which rmtree would wait for, this is an error
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        return name not in os.listdir(folder)  # noqa: PTH208  pathlib knows no descriptors
    return False


def _remove_file(home: Path, subject: str, now: float) -> bool:
    """Remove it unless it was written again meanwhile: the same bytes may have come anew, and have a row by now."""
    aside = f".{uuid4().hex}.part"
    with suppress(OSError), _folder_of(home, subject) as (folder, name):
        os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
        with suppress(OSError):
            is_file = stat.S_ISREG(os.stat(aside, dir_fd=folder, follow_symlinks=False).st_mode)
            if is_file and is_older(aside, now, HOUR, folder):
                os.unlink(aside, dir_fd=folder)
                return True
        os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
    return False


@contextmanager
def _folder_of(home: Path, subject: str) -> Iterator[tuple[int, str]]:
    """The folder that a subject lies in, opened, and its name there: others may put links in the way, at any time.

    Raises:
        OSError: there is no such folder, or a link has its place.
    """
    place, *rest = Path(subject).parts
    path = Path(*rest)
    with folder_below(home / place, path.parent) as folder:
        yield folder, path.name
