"""Where damage is done: a deployment with servers that can be killed, what was dropped into it, and the audit."""

import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.record import Run, record
from tests.servers import MortalPostgres, MortalRedis
from tests.system.deployment import Deployment, wait_until
from tests.worker.scans import png
from worker.cli.broker import queue_lengths
from worker.cli.verification import Verification, verify
from worker.inbox import ADOPT_AFTER_SECONDS
from worker.inbox_files import list_inbox
from worker.store.models import Event, ScanFile

DONE_SECONDS = 150.0
TIDY_SECONDS = 3 * ADOPT_AFTER_SECONDS
"""Claims of a killed worker are looked at after `ADOPT_AFTER_SECONDS`, at the next rescan."""
SMALL_AND_QUICK = {
    "TRIAGE_ENGINE": "openvino-int8",
    "TRIAGE_CLAIM_SIZE": "4",
    "TRIAGE_LEASE_SECONDS": "2",
    "TRIAGE_RESCAN_SECONDS": "2",
    # a row whose process was killed so often is given up, which is right, but here the scan is not to blame
    "TRIAGE_MAX_ATTEMPTS": "50",
}


@dataclass
class Ground:
    """A deployment and its servers; `redis` and `postgres` are `None` where everything is embedded."""

    deployment: Deployment
    redis: MortalRedis | None = None
    postgres: MortalPostgres | None = None
    dropped: dict[str, bytes] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(os.environ.get("CHAOS_SEED", "1")))

    @property
    def name(self) -> str:
        """As the table calls it."""
        return "embedded" if self.redis is None else "Redis + Postgres"

    def drop(self, scans: dict[str, bytes]) -> None:
        """Put scans into the inbox and remember them."""
        for name, content in scans.items():
            self.deployment.drop(name, content)
        self.dropped |= scans

    def wait_for_work(self, reports: int = 1) -> None:
        """Until so many reports are out: the rest is in the middle of everything."""
        wait_until(
            lambda: len(self.deployment.reports()) >= reports, DONE_SECONDS, f"{reports} reports", self.deployment.logs
        )

    def pause(self, least: float, most: float) -> None:
        """A moment of random length, so that the damage falls on another place each time."""
        time.sleep(self.chance.uniform(least, most))

    def survives(self, scenario: str) -> None:
        """Wait until everything is done, audit, record, and fail for whatever was lost or doubled."""
        damaged = time.monotonic()
        self.deployment.wait_until_done(len(self.dropped), DONE_SECONDS)
        recovery = time.monotonic() - damaged
        wait_until(
            self._is_tidy, TIDY_SECONDS, "nothing left over", lambda: f"{self._left_over()}\n{self.deployment.logs()}"
        )
        found = self._audit(sums=True)
        run = Run(
            scenario, self.name, len(self.dropped), self._lost(found), self._doubled(), len(found.findings), recovery
        )
        record(run)
        assert (run.lost, run.doubled, found.findings) == (0, 0, ()), (run, found, self.deployment.logs())

    def _is_tidy(self) -> bool:
        return not self._left_over()

    def _leftovers_and_logs(self) -> str:
        return f"{self._left_over()}\n{self.deployment.logs()}"

    def _left_over(self) -> list[str]:
        """What is still in the inbox, claimed, a message or found by the audit: work done in the background."""
        settings = self.deployment.settings
        lengths = queue_lengths(settings)
        return [
            *(f"claimed: {path.relative_to(settings.home)}" for path in settings.claimed.rglob("*")),
            *(f"in the inbox: {path}" for path in list_inbox(settings.inbox)),
            *(["broker does not answer"] if lengths is None else []),
            *(f"messages in {queue}: {count}" for queue, count in (lengths or {}).items() if count),
            *(str(finding) for finding in self._audit().findings),
        ]

    def _audit(self, *, sums: bool = False) -> Verification:
        return verify(self.deployment.settings, sums=sums)

    def _lost(self, found: Verification) -> int:
        """Files without exactly one row, and rows that ended otherwise than by a report or as a duplicate."""
        with self.deployment.sessions.begin() as session:
            rows = Counter(name for (name,) in session.query(ScanFile.original_name))
        without_one = sum(rows[name] != 1 for name in self.dropped) + len(rows.keys() - self.dropped.keys())
        return without_one + len(self.dropped) - found.files["reported"] - found.files["duplicate"]

    def _doubled(self) -> int:
        """Reports, in the outbox and in the event table, beyond one for each different scan."""
        different = len(set(self.dropped.values()))
        with self.deployment.sessions.begin() as session:
            announced = session.query(Event).filter_by(kind="reported").count()
        return max(0, announced - different) + max(0, len(self.deployment.reports()) - different)


def scans(count: int) -> dict[str, bytes]:
    """So many small pictures, each different."""
    return {f"scan {number}.png": png(number) for number in range(count)}
