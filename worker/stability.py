"""Has this file stopped changing? Pure: the clock and the looks are passed in."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LONGER_WITHOUT_CLOSE = 3
"""A file nobody saw being closed must stand still this many times as long: a slow writer pauses, then goes on."""


EMPTY_SECONDS = 5.0
"""So long an empty file must stand still at least: many programs make a file, close it, and fill it a moment later."""


@dataclass(frozen=True)
class Look:
    """What one look at a file found: size in bytes, modification time in nanoseconds."""

    size: int
    mtime_ns: int


@dataclass
class _Watched:
    look: Look | None = None
    still_since: float = 0.0
    closed: bool = False


class StabilityTracker:
    """Follows files until each has stood still for `settle_seconds`.

    A file seen being closed or moved in is settled once it stood still that long; one that was only listed, or is
    being written, must have stood still `LONGER_WITHOUT_CLOSE` times as long, and an empty one `EMPTY_SECONDS`.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._watched: dict[Path, _Watched] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def noticed(self, paths: Iterable[Path]) -> None:
        """These files exist or were written to."""
        for path in paths:
            self._watched.setdefault(path, _Watched())

    def written(self, path: Path) -> None:
        """The file was written to: if it was closed before, somebody has opened it again."""
        self._watched.setdefault(path, _Watched()).closed = False

    def closed(self, path: Path) -> None:
        """The file was closed after writing, or moved in whole."""
        self._watched.setdefault(path, _Watched()).closed = True

    def forget(self, path: Path) -> None:
        """The file is gone or taken."""
        self._watched.pop(path, None)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files being followed."""
        return tuple(self._watched)

    def look(self, path: Path, found: Look, now: float) -> bool:
        """Take one look into account, `now` in monotonic seconds; True when the file is settled."""
        watched = self._watched.setdefault(path, _Watched())
        if found != watched.look:
            watched.look, watched.still_since = found, now
            return False
        needed = self._settle_seconds * (1 if watched.closed else LONGER_WITHOUT_CLOSE)
        if found.size == 0:
            needed = max(needed, EMPTY_SECONDS)
        return now - watched.still_since >= needed
