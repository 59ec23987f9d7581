"""An archive is a drop of its own: its members become stored files, the archive itself is done."""

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from worker.inbox_files import is_ignored
from worker.intake.archives import ExtractedMember, extract
from worker.intake.read import file_type
from worker.intake.sniff import FileType
from worker.pipeline import INTAKE
from worker.services import Services
from worker.store import queries
from worker.store.claims import Claim, move
from worker.store.models import FileState, ScanFile


def unpack(services: Services, claim: Claim, row: ScanFile, path: Path) -> bool:
    """If `path` is an archive, file its members and finish it; False for any other file.

    A member that is one itself is left to `read_instance`, which refuses it: there are archives that hold themselves.

    Raises:
        RejectedError: the archive is refused as a whole.
        TransientError: the disk has no room for what is in it.
        OSError: the disk failed, or the store is away.
    """
    if row.archive_id is not None or file_type(path) is not FileType.ZIP:
        return False
    of_all_attempts = services.settings.unpacking / row.claim_id
    shutil.rmtree(of_all_attempts, ignore_errors=True)
    # a worker that wakes up after its lease must not file what the next one has half written
    folder = of_all_attempts / claim.token
    services.objects.make_folder(folder)
    try:
        extracted = extract(path, folder, services.limits, services.has_room)
        members = [member for member in extracted if not is_ignored(Path(member.name))]
        services.objects.take({member.path: member.sha256 for member in members})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            of_all_attempts.rmdir()
    _file_members(services, claim, row, members)
    return True


def _file_members(services: Services, claim: Claim, row: ScanFile, members: list[ExtractedMember]) -> None:
    """Register the members and finish the archive, in one commit and with all bytes in the store.

    A worker killed before it leaves no member that waits for its bytes, one killed after it has nothing left to do.
    """
    now = services.now()
    with services.session.begin() as session:
        if not move(session, ScanFile, row.id, claim.token, INTAKE.takes, state=FileState.READ):
            return
        for member in members:
            queries.add_file(
                session, uuid4().hex, f"{row.original_name}/{member.name}", row.rank, now,
                archive_id=row.id, sha256=member.sha256, size_bytes=member.size_bytes,
            )  # fmt: skip
        queries.record(session, "unpacked", now, file_id=row.id, detail=f"{len(members)} members")
