"""Results appear whole or not at all: written beside under a dot name, synced, renamed."""

import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from worker.store.objects import CHUNK_BYTES, sync_folder

EXECUTE_BITS = 0o111
LONGEST_NAME_BYTES = 200
INDEX_NAME = "index.html"
REPORTS_FOLDER, REJECTED_FOLDER = "reports", "rejected"


class Outbox:
    """The folder people read from; `share_mode` is the permission of its folders (files: without execute)."""

    def __init__(self, root: Path, share_mode: int) -> None:
        self.root = root
        self.folder_mode = share_mode
        self.file_mode = share_mode & ~EXECUTE_BITS

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self.root, self.root / REPORTS_FOLDER, self.root / REJECTED_FOLDER):
            self._make_folder(folder)

    def deliver_bytes(self, relative: str, content: bytes) -> None:
        """Put `content` at `relative`, replacing an earlier delivery."""
        self.deliver_stream(relative, BytesIO(content))

    def deliver_stream(self, relative: str, source: BinaryIO) -> None:
        """Copy a stream to `relative`, replacing an earlier delivery; what cannot be finished leaves nothing behind."""
        target = self.root / relative
        if not target.parent.is_dir():
            self._make_folder(target.parent)
        temporary = target.parent / f".{uuid4().hex}.part"
        try:
            with temporary.open("xb") as part:
                while chunk := source.read(CHUNK_BYTES):
                    part.write(chunk)
                part.flush()
                os.fsync(part.fileno())
            temporary.chmod(self.file_mode)
            temporary.replace(target)
            sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def deliver_file(self, relative: str, path: Path) -> None:
        """Move `path` to `relative`: a rename where both are on one file system, else a copy."""
        target = self.root / relative
        if not target.parent.is_dir():
            self._make_folder(target.parent)
        shutil.move(path, target)
        sync_folder(target.parent)

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(self.folder_mode)


def report_path(public_study_id: str, revision: int) -> str:
    """Where the PDF of a study's revision is delivered, relative to the outbox."""
    return f"{REPORTS_FOLDER}/{public_study_id}-r{revision}.pdf"


def rejected_folder(file_id: int) -> str:
    """The folder of a rejected file and its reason, relative to the outbox: its own, so that no two names collide."""
    return f"{REJECTED_FOLDER}/{file_id:08d}"


def safe_name(original_name: str) -> str:
    """A file name any system takes, from a name any system gave: last part, no control characters, bounded."""
    name = original_name.rsplit("/", 1)[-1]
    name = "".join(character if character.isprintable() else "_" for character in name)
    encoded = name.encode("utf-8", "replace")
    if len(encoded) > LONGEST_NAME_BYTES:
        name = encoded[-LONGEST_NAME_BYTES:].decode("utf-8", "ignore")
    return name if name.strip(". ") else f"file{name}"
