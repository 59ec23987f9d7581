"""Results appear whole or not at all: written beside under a dot name, synced, renamed."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from worker.folder_descriptors import folder_below, open_inner
from worker.settings import Settings
from worker.store.objects import CHUNK_BYTES, PRIVATE_FILE, PRIVATE_FOLDER

EXECUTE_BITS = 0o111
LONGEST_NAME_BYTES = 200
INDEX_NAME = "index.html"
REPORTS_FOLDER, REJECTED_FOLDER = "reports", "rejected"
REASON_FILE = "reason.txt"
PARTS = ".*.part"
"""What store and outbox write beside before they rename it."""
OWN_PART = re.compile(r"\.[0-9a-f]+\.part")
"""What others write beside under another name is theirs, and may have a patient's name in it."""


class Outbox:
    """The folder people read from; `share_mode` is the permission of its folders (files: without execute).

    Those who share it may put links into it. None is followed below the root: what is delivered, a rejected file of
    anybody's choice among it, would else be written over files that only the worker may write.
    """

    def __init__(self, root: Path, share_mode: int) -> None:
        self.root = root
        self.folder_mode = share_mode
        self.file_mode = share_mode & ~EXECUTE_BITS

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            OSError: it cannot be done, or something else is in their place.
        """
        self._make_root()
        for name in (REPORTS_FOLDER, REJECTED_FOLDER):
            with self._folder(Path(name)) as folder:
                os.fchmod(folder, self.folder_mode)

    def deliver_bytes(self, relative: str, content: bytes) -> None:
        """Put `content` at `relative`, replacing an earlier delivery."""
        self.deliver_stream(relative, BytesIO(content))

    def deliver_stream(self, relative: str, source: BinaryIO) -> None:
        """Copy a stream to `relative`, replacing an earlier delivery; what cannot be finished leaves nothing behind."""
        target, temporary = Path(relative), f".{uuid4().hex}.part"
        with self._folder(target.parent) as folder:
            try:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE, dir_fd=folder)
                with os.fdopen(descriptor, "wb") as part:
                    while chunk := source.read(CHUNK_BYTES):
                        part.write(chunk)
                    part.flush()
                    os.fchmod(part.fileno(), self.file_mode)
                    os.fsync(part.fileno())
                os.rename(temporary, target.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)

    def deliver_file(self, relative: str, path: Path) -> None:
        """Move `path` to `relative`: a rename where both are on one file system, else a copy."""
        target = Path(relative)
        with self._folder(target.parent) as folder:
            try:
                os.rename(path, target.name, dst_dir_fd=folder)
                os.fsync(folder)
                return
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        with path.open("rb") as source:
            self.deliver_stream(relative, source)
        path.unlink()

    def _make_root(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(self.folder_mode)

    @contextmanager
    def _folder(self, relative: Path) -> Iterator[int]:
        """A folder below the root, made if it is missing."""
        if not self.root.is_dir():
            self._make_root()
        with folder_below(self.root, relative, self._inner) as folder:
            yield folder

    def _inner(self, name: str, folder: int) -> int:
        try:
            return open_inner(name, folder)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(name, PRIVATE_FOLDER, dir_fd=folder)
        inner = open_inner(name, folder)
        os.fchmod(inner, self.folder_mode)
        return inner


def outbox_of(settings: Settings) -> Outbox:
    """The configured one."""
    return Outbox(settings.outbox, settings.share_mode)


def report_path(public_study_id: str, revision: int) -> str:
    """Where the PDF of a study's revision is delivered, relative to the outbox."""
    return f"{REPORTS_FOLDER}/{public_study_id}-r{revision}.pdf"


def rejected_folder(file_id: int) -> str:
    """The folder of a rejected file and its reason, relative to the outbox: its own, so that no two names collide."""
    return f"{REJECTED_FOLDER}/{file_id:08d}"


def returned_name(original_name: str) -> str:
    """What a rejected file is called in its folder, where the name of the reason is taken."""
    name = safe_name(original_name)
    return f"file-{name}" if name.casefold() == REASON_FILE else name


def reason_text(reason: str | None, message: str | None) -> bytes:
    """What lies beside a rejected file: the slug for scripts, the sentence for people."""
    return f"{reason}: {message}\n".encode()


def returned_files(folder: Path) -> list[Path]:
    """What the folder of a rejected file holds, without the parts of a delivery that was cut short."""
    return sorted(path for path in folder.iterdir() if not path.match(PARTS)) if folder.is_dir() else []


def safe_name(original_name: str) -> str:
    """A file name any system takes, from a name any system gave: last part, no control characters, bounded."""
    name = original_name.rsplit("/", 1)[-1]
    name = "".join(character if character.isprintable() else "_" for character in name)
    encoded = name.encode("utf-8", "replace")
    if len(encoded) > LONGEST_NAME_BYTES:
        name = encoded[-LONGEST_NAME_BYTES:].decode("utf-8", "ignore")
    return name if name.strip(". ") else f"file{name}"
