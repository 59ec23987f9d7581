"""Does the worklist page say what the database says?"""

import re
from datetime import datetime

from sqlalchemy.orm import Session

from worker.delivered import Delivered
from worker.findings import Finding, Trouble
from worker.outbox import INDEX_NAME
from worker.settings import Settings
from worker.steps.worklist import render_page
from worker.store.audit import Snapshot
from worker.store.models import UNFINISHED_STUDIES

WRITTEN = re.compile(r'Written <time datetime="([^"]+)">')


def page_findings(session: Session, settings: Settings, snapshot: Snapshot, now: datetime) -> list[Finding]:
    """Write the page again as of its own time, and compare.

    While something is on its way the page may lag behind: it is written when a study is reported, at most once a
    second. A page younger than `now`, when the database was looked at, says more than it did then.
    """
    on_its_way = any(study.state in UNFINISHED_STUDIES for study in snapshot.studies.values())
    if snapshot.page_due or on_its_way or not snapshot.studies:
        return []
    page = Delivered(settings.outbox).text(INDEX_NAME)
    written = WRITTEN.search(page)
    if written is not None:
        moment = datetime.fromisoformat(written[1])
        if moment >= now or render_page(session, settings, moment) == page:
            return []
    return [Finding(Trouble.PAGE_STALE, INDEX_NAME)]
