"""Files by the sha256 of their bytes: written beside, synced, renamed; never changed afterwards."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
CHUNK_BYTES = 1 << 20


class ObjectStore:
    """A folder of immutable files, `ab/abcdef…` for each sum."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_of(self, sha256: str) -> Path:
        """Where the bytes with this sum are, or would be."""
        return self.root / sha256[:2] / sha256

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
            final = self.path_of(digest.hexdigest())
            if not final.parent.is_dir():
                final.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
                sync_folder(self.root)
            temporary.replace(final)
            sync_folder(final.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest(), size


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
