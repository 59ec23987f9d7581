"""Which emptied folders of the inbox may go: those that came with files, not those that wait for some."""

from collections.abc import Mapping
from pathlib import Path

IDLE_SECONDS = 24 * 3600.0
"""A folder goes when it has been empty this long."""
USED_AGAIN_SECONDS = 3600.0
"""Files that come after it was empty this long come to a place that somebody uses; sooner, to one still being sent."""


class EmptyFolders:
    """Tells passing folders, copied in with a study, from lasting ones, where a scanner or a share delivers.

    Lasting are those that this worker found at its start, found empty before there was a file in them, or saw used
    again. All others, and what is made in them, pass. Pure: what was found, and a clock that nobody can set, are passed
    in.
    """

    def __init__(self) -> None:
        self._lasting: set[Path] | None = None
        self._emptied: dict[Path, float | None] = {}

    def look(self, found: Mapping[Path, bool], now: float) -> list[Path]:
        """Take a listing into account: every folder, those above before those in them, and is there a file below it?

        Returns:
            Those that may be removed, those within others before these.
        """
        if self._lasting is None:
            self._lasting = set(found)
        self._lasting &= found.keys()
        self._emptied = {path: since for path, since in self._emptied.items() if path in found}
        for path, has_files in found.items():
            if path not in self._lasting:
                self._follow(path, has_files, now, self._lasting)
        since = {path: emptied for path in found if (emptied := self._emptied.get(path)) is not None}
        return [path for path in reversed(since) if now - since[path] >= IDLE_SECONDS]

    def _follow(self, path: Path, has_files: bool, now: float, lasting: set[Path]) -> None:
        emptied = self._emptied.get(path)
        is_new = path not in self._emptied
        waits = is_new and not has_files and path.parent not in self._emptied
        if waits or (has_files and emptied is not None and now - emptied >= USED_AGAIN_SECONDS):
            self._emptied.pop(path, None)
            lasting.add(path)
        elif has_files:
            self._emptied[path] = None
        elif emptied is None:
            self._emptied[path] = now
