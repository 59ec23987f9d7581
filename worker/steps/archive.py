"""An archive is a drop of its own: its members become claimed files, the archive itself is done."""

import shutil
from pathlib import Path
from uuid import UUID, uuid5

from worker.inbox_files import is_ignored
from worker.intake.archives import ExtractedMember, extract
from worker.intake.read import file_type
from worker.intake.sniff import FileType
from worker.pipeline import INTAKE
from worker.services import Services
from worker.store import queries
from worker.store.claims import Claim, move
from worker.store.models import FileState, ScanFile
from worker.store.objects import PRIVATE_FOLDER


def unpack(services: Services, claim: Claim, row: ScanFile, path: Path) -> bool:
    """If `path` is an archive, claim its members and finish it; False for any other file.

    Raises:
        RejectedError: the archive is refused as a whole.
    """
    if file_type(path) is not FileType.ZIP:
        return False
    unpacked = services.settings.home / "unpacking" / row.claim_id
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(mode=PRIVATE_FOLDER, parents=True)
    names = _claim_members(services, row, extract(path, unpacked, services.limits))
    shutil.rmtree(unpacked, ignore_errors=True)
    now = services.now()
    with services.session.begin() as session:
        if move(session, ScanFile, row.id, claim.token, INTAKE.takes, state=FileState.READ):
            for claim_id, name in names.items():
                queries.add_file(session, claim_id, name, row.rank, now, archive_id=row.id)
            queries.record(session, "unpacked", now, file_id=row.id, detail=f"{len(names)} members")
    return True


def _claim_members(services: Services, row: ScanFile, members: list[ExtractedMember]) -> dict[str, str]:
    """Move members into claimed folders; claim id to name.

    The ids are the same at every attempt, so that one cut short doubles nothing.
    """
    names = {}
    for member in members:
        if is_ignored(Path(member.name)):
            continue
        claim_id = uuid5(UUID(row.claim_id), member.path.name).hex
        folder = services.settings.claimed / claim_id
        folder.mkdir(exist_ok=True)
        member.path.rename(folder / member.path.name)
        names[claim_id] = f"{row.original_name}/{member.name}"
    return names
