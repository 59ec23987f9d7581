"""Where damage is done: a deployment with servers that can be killed, what was dropped into it, and the audit."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.chaos.drops import Drop, expected
from tests.chaos.record import Run, record
from tests.servers import MortalPostgres, MortalRedis
from tests.system.deployment import Deployment, wait_until
from worker.cli.broker import queue_lengths
from worker.cli.verification import Verification, verify
from worker.inbox import ADOPT_AFTER_SECONDS
from worker.inbox_files import list_inbox
from worker.settings import Settings
from worker.store.models import UNFINISHED_FILES, Event, ScanFile, Study

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
SHIPPED_ATTEMPTS = {"TRIAGE_MAX_ATTEMPTS": str(Settings.model_fields["max_attempts"].default)}
"""For damage that must not count as a scan's own."""


@dataclass
class Ground:
    """A deployment and its servers; `redis` and `postgres` are `None` where everything is embedded."""

    deployment: Deployment
    redis: MortalRedis | None = None
    postgres: MortalPostgres | None = None
    dropped: dict[str, Drop] = field(default_factory=dict)
    clock_is_set_back: bool = False
    """Redis' messages that were not acknowledged before stay as long as that: their age is told by the clock."""
    chance: random.Random = field(default_factory=lambda: random.Random(os.environ.get("CHAOS_SEED", "1")))

    @property
    def name(self) -> str:
        """As the table calls it."""
        return "embedded" if self.redis is None else "Redis + Postgres"

    @classmethod
    @contextmanager
    def on_servers(cls, home: Path, redis: MortalRedis, postgres: MortalPostgres) -> Iterator[Self]:
        """A deployment on these servers, with a database of its own; its workers end with the block."""
        servers = {"TRIAGE_BROKER_URL": redis.url, "TRIAGE_DATABASE_URL": postgres.create_database()}
        deployment = Deployment(home, SMALL_AND_QUICK | servers)
        try:
            yield cls(deployment, redis, postgres)
        finally:
            deployment.close()

    def drop(self, drops: Mapping[str, Drop]) -> None:
        """Put files into the inbox and remember them."""
        for name, drop in drops.items():
            self.deployment.drop(name, drop.content)
        self.dropped |= drops

    def wait_for_work(self, reports: int = 1) -> None:
        """Until so many reports are out: the rest is in the middle of everything."""
        wait_until(
            lambda: len(self.deployment.reports()) >= reports, DONE_SECONDS, f"{reports} reports", self.deployment.logs
        )

    def pause(self, least: float, most: float) -> None:
        """A moment of random length, so that the damage falls on another place each time."""
        time.sleep(self.chance.uniform(least, most))

    def survives(self, scenario: str, done_seconds: float = DONE_SECONDS, damaged: float | None = None) -> None:
        """Wait until everything is done, audit, record, and fail for whatever was lost or doubled.

        `damaged` is when the damage ended, by `time.monotonic`, if not now.
        """
        damaged = damaged or time.monotonic()
        try:
            self.deployment.wait_until_done(len(expected(self.dropped).names), done_seconds)
            recovery = time.monotonic() - damaged
            wait_until(self._is_tidy, TIDY_SECONDS, "nothing left over", self._left_over_and_logs)
        except AssertionError:
            # what is not done in time counts as lost in the table too
            self.judge(scenario, self.name, time.monotonic() - damaged)
            raise
        self.judge(scenario, self.name, recovery)

    def judge(self, scenario: str, deployment: str, recovery_seconds: float) -> None:
        """Audit what is done, record it, and fail for whatever was lost or doubled."""
        found = self.audit(sums=True)
        lost, doubled = self.lost(found), self.doubled()
        files = len(expected(self.dropped).names)
        record(Run(scenario, deployment, files, lost, doubled, len(found.findings), recovery_seconds))
        assert (lost, doubled, found.findings) == (0, 0, ()), (found, self.deployment.logs())

    def done_count(self) -> int:
        """Rows of files that are at their end, but for the work on their studies."""
        files, _ = self.deployment.counts()
        return sum(count for state, count in files.items() if state not in UNFINISHED_FILES)

    def is_done(self) -> bool:
        """Is everything that was dropped at its end, and nothing left over?"""
        return self.deployment.is_done(len(expected(self.dropped).names)) and self._is_tidy()

    def _is_tidy(self) -> bool:
        return not self._left_over()

    def _left_over_and_logs(self) -> str:
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
            *(["messages not acknowledged"] if self._has_unacknowledged() else []),
            *(str(finding) for finding in self.audit().findings),
        ]

    def _has_unacknowledged(self) -> bool:
        return self.redis is not None and not self.clock_is_set_back and self.redis.unacknowledged() > 0

    def audit(self, *, sums: bool = False) -> Verification:
        """What `python -m worker verify` finds, with `--sums` or without."""
        return verify(self.deployment.settings, sums=sums)

    def lost(self, found: Verification) -> int:
        """Names without exactly one row, rows nobody dropped, and rows missing from the outcome they must have."""
        wanted = expected(self.dropped)
        with self.deployment.sessions.begin() as session:
            rows = Counter(name for (name,) in session.query(ScanFile.original_name))
        without_one = sum(rows[name] != 1 for name in wanted.names) + len(rows.keys() - wanted.names)
        missing = wanted.outcomes - Counter(found.files)
        return without_one + missing.total()

    def doubled(self) -> int:
        """Reports, in the outbox and in the event table, beyond one a revision; studies beyond those dropped."""
        with self.deployment.sessions.begin() as session:
            announced = Counter(
                (study, detail)
                for study, detail in session.query(Event.study_id, Event.detail).filter_by(kind="reported")
            )
            revisions = [revision for (revision,) in session.query(Study.revision)]
        again = announced.total() - len(announced)
        surplus = len(self.deployment.reports()) - sum(revisions)
        return again + max(0, surplus) + max(0, len(revisions) - expected(self.dropped).studies)
