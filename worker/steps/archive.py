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
    """If `path` is an archive, hand out its members and finish it; False for any other file.

    Raises:
        RejectedError: the archive is refused as a whole.
    """
    if file_type(path) is not FileType.ZIP:
        return False
    unpacked = services.settings.home / "unpacking" / row.claim_id
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(mode=PRIVATE_FOLDER, parents=True)
    members = [member for member in extract(path, unpacked, services.limits) if not is_ignored(Path(member.name))]
    _hand_out(services, row, members)
    shutil.rmtree(unpacked, ignore_errors=True)
    with services.session.begin() as session:
        if move(session, ScanFile, row.id, claim.token, INTAKE.takes, state=FileState.READ):
            queries.record(session, "unpacked", services.now(), file_id=row.id, detail=f"{len(members)} members")
    return True


def _hand_out(services: Services, row: ScanFile, members: list[ExtractedMember]) -> None:
    """Register the members as claimed files, then put them where claimed files lie.

    The rows come first, so that no member is ever taken for an orphan without archive and name; their ids are the same
    at every attempt, so that one cut short doubles nothing. A row whose file is not there yet is simply tried later.
    """
    claim_ids = {member: uuid5(UUID(row.claim_id), member.path.name).hex for member in members}
    now = services.now()
    with services.session.begin() as session:
        for member, claim_id in claim_ids.items():
            name = f"{row.original_name}/{member.name}"
            queries.add_file(session, claim_id, name, row.rank, now, archive_id=row.id)
    for member, claim_id in claim_ids.items():
        folder = services.settings.claimed / claim_id
        folder.mkdir(exist_ok=True)
        member.path.rename(folder / member.path.name)
