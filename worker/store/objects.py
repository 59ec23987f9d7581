"""Files by the sha256 of their bytes: written beside, synced, renamed; never changed afterwards."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from worker.folder_descriptors import FOLDER_FLAGS

MARKER = ".triage-store"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
CHUNK_BYTES = 1 << 20
SYNCS_AT_A_TIME = 16
"""A disk writes down at once what is waiting for it: one after the other, 20,000 files would take it minutes."""


class StoreAwayError(OSError):
    """The store is not at its place: not mounted perhaps, or moved. It will be back."""


class ObjectStore:
    """A folder of immutable files, `ab/abcdef…` for each sum, and of a marker that tells it from any other folder.

    Only `prepare` makes that folder. All else is done through a descriptor of one with the marker, so that nothing is
    ever put into what is in the place of a store that is away: an empty mount point, or nothing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the store where it is new.

        Raises:
            OSError: it cannot be made.
        """
        self.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        if not self.is_there():
            (self.root / MARKER).touch(PRIVATE_FILE)

    def is_there(self) -> bool:
        """Is it at its place?

        Raises:
            OSError: the disk does not answer.
        """
        try:
            with self._opened():
                return True
        except StoreAwayError:
            return False

    def holds_objects(self) -> bool:
        """Does its place hold objects? A store of an earlier version has no marker."""
        return any(self.root.glob("[0-9a-f][0-9a-f]"))

    def path_of(self, sha256: str) -> Path:
        """Where the bytes with this sum are, or would be."""
        return self.root / sha256[:2] / sha256

    def has_lost(self, sha256: str) -> bool:
        """Are the bytes gone for good, from a store that is there?

        Raises:
            StoreAwayError: it is not.
            OSError: the disk does not answer.
        """
        path = self.path_of(sha256)
        try:
            path.stat()
        except FileNotFoundError:
            with self._opened() as root:
                return not _exists(path.relative_to(self.root), root)
        return False

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Copy a stream in; returns its sha256 and size in bytes once both are safely on disk.

        Raises:
            StoreAwayError: the store is not there.
            OSError: the disk failed or is full.
        """
        temporary = Path(f".{uuid4().hex}.part")
        digest, size = hashlib.sha256(), 0
        with self._opened() as root:
            try:
                with open(temporary, "xb", opener=partial(_private, root=root)) as target:
                    while chunk := source.read(CHUNK_BYTES):
                        digest.update(chunk)
                        size += len(chunk)
                        target.write(chunk)
                    target.flush()
                    os.fsync(target.fileno())
                _sync(_rename(temporary, digest.hexdigest(), root), root)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=root)
        return digest.hexdigest(), size

    def take(self, files: Mapping[Path, str]) -> None:
        """Move files of this file system in, given their sums; all are safely on disk once this returns.

        Raises:
            StoreAwayError: the store is not there.
            OSError: the disk failed or is full.
        """
        with self._opened() as root, ThreadPoolExecutor(SYNCS_AT_A_TIME) as pool:
            list(pool.map(_sync, files))
            folders = {_rename(path, sha256, root) for path, sha256 in files.items()}
            list(pool.map(partial(_sync, root=root), folders))

    def make_folder(self, folder: Path) -> None:
        """Make a folder below the store's own, and those between.

        Raises:
            StoreAwayError: the store is not there.
            OSError: it cannot be made.
        """
        below = folder.relative_to(self.root)
        with self._opened() as root:
            for inner in reversed((below, *below.parents[:-1])):
                _make_folder(inner, root)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """A descriptor of the store's own folder, until the block ends; of that folder, wherever it is moved."""
        try:
            root = os.open(self.root, FOLDER_FLAGS)
        except FileNotFoundError:
            raise self._away() from None
        try:
            if not _exists(Path(MARKER), root):
                raise self._away()
            yield root
        finally:
            os.close(root)

    def _away(self) -> StoreAwayError:
        return StoreAwayError(f"the store is not at {self.root}, or {MARKER} is not in it: mount it or move it back")


def _exists(path: Path, root: int) -> bool:
    try:
        os.stat(path, dir_fd=root)
    except FileNotFoundError:
        return False
    return True


def _private(path: str, flags: int, root: int) -> int:
    return os.open(path, flags, PRIVATE_FILE, dir_fd=root)


def _make_folder(folder: Path, root: int) -> bool:
    """True where it was not there."""
    try:
        os.mkdir(folder, PRIVATE_FOLDER, dir_fd=root)
    except FileExistsError:
        return False
    return True


def _rename(path: Path, sha256: str, root: int) -> Path:
    """Put a synced file in its place; returns the folder that is to be synced next."""
    folder = Path(sha256[:2])
    if _make_folder(folder, root):
        os.fsync(root)
    os.rename(path, folder / sha256, src_dir_fd=root, dst_dir_fd=root)
    return folder


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    _sync(folder)


def _sync(path: Path, root: int | None = None) -> None:
    descriptor = os.open(path, os.O_RDONLY, dir_fd=root)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
