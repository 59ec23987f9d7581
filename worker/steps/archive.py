"""An archive is a drop of its own: its members become claimed files, the archive itself is done."""

import shutil
from pathlib import Path
from uuid import UUID, uuid5

from worker.intake.archives import extract
from worker.intake.read import file_type
from worker.intake.sniff import FileType
from worker.pipeline import INTAKE
from worker.services import Services
from worker.store import queries
from worker.store.claims import Claim, move
from worker.store.models import FileState, ScanFile


def unpack(services: Services, claim: Claim, row: ScanFile, path: Path) -> bool:
    """If `path` is an archive, claim its members and finish it; False for any other file.

    Raises:
        RejectedError: the archive is refused as a whole.
    """
    if file_type(path) is not FileType.ZIP:
        return False
    claimed = services.settings.claimed
    unpacked = services.settings.home / "unpacking" / row.claim_id
    shutil.rmtree(unpacked, ignore_errors=True)
    now = services.now()
    members = extract(path, unpacked, services.limits)
    with services.session.begin() as session:
        if not move(session, ScanFile, row.id, claim.token, INTAKE.takes, state=FileState.READ):
            return True
        for member in members:
            # the same id at every attempt, so that an attempt cut short doubles nothing
            claim_id = uuid5(UUID(row.claim_id), member.name).hex
            target = claimed / claim_id / member.path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            member.path.rename(target)
            name = f"{row.original_name}/{member.name}"
            queries.add_file(session, claim_id, name, row.rank, now, archive_id=row.id)
        queries.record(session, "unpacked", now, file_id=row.id, detail=f"{len(members)} members")
    shutil.rmtree(unpacked, ignore_errors=True)
    return True
