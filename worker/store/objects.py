"""Files by the sha256 of their bytes: written beside, synced, renamed; never changed afterwards."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
CHUNK_BYTES = 1 << 20
SYNCS_AT_A_TIME = 16
"""A disk writes down at once what is waiting for it: one after the other, 20,000 files would take it minutes."""


class ObjectStore:
    """A folder of immutable files, `ab/abcdef…` for each sum."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_of(self, sha256: str) -> Path:
        """Where the bytes with this sum are, or would be."""
        return self.root / sha256[:2] / sha256

    def has_lost(self, sha256: str) -> bool:
        """Are the bytes gone for good, from a store that is there?

        One without any folder is not: it is not mounted perhaps, and will be back.
        """
        try:
            self.path_of(sha256).stat()
        except FileNotFoundError:
            return self.root.is_dir() and any(entry.is_dir() for entry in self.root.iterdir())
        return False

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Copy a stream in; returns its sha256 and size in bytes once both are safely on disk."""
        self.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        temporary = self.root / f".{uuid4().hex}.part"
        digest, size = hashlib.sha256(), 0
        try:
            with open(temporary, "xb", opener=_private) as target:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            sync_folder(self._rename(temporary, digest.hexdigest()))
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest(), size

    def take(self, files: Mapping[Path, str]) -> None:
        """Move files of this file system in, given their sums; all are safely on disk once this returns."""
        with ThreadPoolExecutor(SYNCS_AT_A_TIME) as pool:
            list(pool.map(_sync, files))
            folders = {self._rename(path, sha256) for path, sha256 in files.items()}
            list(pool.map(sync_folder, folders))

    def _rename(self, path: Path, sha256: str) -> Path:
        """Put a synced file in its place; returns the folder that is to be synced next."""
        final = self.path_of(sha256)
        if not final.parent.is_dir():
            final.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            sync_folder(self.root)
        path.replace(final)
        return final.parent


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
