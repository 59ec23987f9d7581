"""Where scans' names, ids, dates and texts turn up: in database, store, inbox and outbox, and nowhere else.

A worker at its most talkative reads scans full of sentinels, refuses some and fails over others; meanwhile and after it
all else that it wrote or shows is searched.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from tests.system.deployment import Deployment, wait_until
from tests.worker.scans import archive, dicom_bytes, png, slice_dataset
from worker.store.models import FileState, ScanFile

SCRIPTS = {
    "ascii": "Sentinella",
    "latin": "Wächtergröße",
    "cyrillic": "Часовой",
    "chinese": "哨兵值守",
    "arabic": "حارسالباب",
}
DATES = {"birth": "19070319", "day": "20190723"}
NUMBERS = {"id": "S3NT1NEL", "accession": "ACC5ENT1NEL"}
TELLING = (*SCRIPTS.values(), *DATES.values(), *NUMBERS.values(), "1907-03-19", "2019-07-23")
QUICK = {
    "TRIAGE_ENGINE": "openvino-int8",
    "TRIAGE_LEASE_SECONDS": "2",
    "TRIAGE_QUIET_SECONDS": "3",
    "TRIAGE_MAX_ATTEMPTS": "2",
}


def full_of_sentinels(study: int, number: int, **changes: object) -> bytes:
    """A slice whose every element of text says something that must not leave."""
    image = slice_dataset(study, number)
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName = "^".join(SCRIPTS.values())
    image.PatientID, image.AccessionNumber = NUMBERS["id"], NUMBERS["accession"]
    image.OtherPatientIDs, image.StudyID = NUMBERS["id"], NUMBERS["id"]
    image.PatientBirthDate, image.StudyDate, image.SeriesDate = DATES["birth"], DATES["day"], DATES["day"]
    image.StudyDescription, image.SeriesDescription = SCRIPTS["ascii"], f"T1 {SCRIPTS['cyrillic']}"
    image.InstitutionName, image.InstitutionAddress = SCRIPTS["latin"], SCRIPTS["chinese"]
    image.ReferringPhysicianName = image.PerformingPhysicianName = image.OperatorsName = SCRIPTS["ascii"]
    image.PatientAddress, image.PatientComments, image.ImageComments = (SCRIPTS["chinese"],) * 3
    image.ProtocolName, image.StationName = SCRIPTS["ascii"], SCRIPTS["ascii"]
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return dicom_bytes(image)


def damaged(content: bytes) -> bytes:
    """The same with dates and numbers that are none, which pydicom likes to quote."""
    rows = b"IS\x02\x001 "
    return content.replace(DATES["birth"].encode(), b"Sentinel").replace(rows, b"IS\x02\x00xy")


def drop_everything(deployment: Deployment) -> int:
    """Valid, refused, doubled and archived scans; returns how many files come of it."""
    ward, name = SCRIPTS["arabic"], SCRIPTS["chinese"]
    first = full_of_sentinels(1, 1)
    scans = {
        f"{ward}/{name}/{NUMBERS['id']}.dcm": first,
        f"{SCRIPTS['latin']}.dcm": full_of_sentinels(1, 2),
        f"stat/{DATES['birth']} {SCRIPTS['cyrillic']}.dcm": full_of_sentinels(1, 3, PatientID=f"{NUMBERS['id']}2"),
        f"{SCRIPTS['ascii']} again.dcm": first,
        f"{SCRIPTS['ascii']} ct.dcm": full_of_sentinels(2, 1, Modality="CT"),
        f"{SCRIPTS['ascii']} damaged.dcm": damaged(full_of_sentinels(3, 1)),
        f"{SCRIPTS['ascii']} cut.dcm": first[: len(first) // 2],
        f"{SCRIPTS['ascii']} lost.dcm": full_of_sentinels(4, 1),
        f"{name}.png": png(1),
        f"{SCRIPTS['ascii']}.doc": "\n".join(TELLING).encode(),
        f"{SCRIPTS['ascii']}.zip": archive({f"{ward}/{name}.dcm": full_of_sentinels(5, 1), f"{name}.txt": b"text"}),
        f"{SCRIPTS['ascii']} bad.zip": archive({f"../{SCRIPTS['ascii']}": first}),
    }
    for path, content in scans.items():
        deployment.drop(path, content)
    return len(scans) + 2


@dataclass
class Search:
    """Looks for sentinels, in every spelling they may take, wherever a worker could have left them."""

    deployment: Deployment
    scratch: Path
    broker: redis.Redis | None = None
    found: set[str] = field(default_factory=set)
    messages_seen: int = 0

    def look(self) -> None:
        """What is there only for a moment: messages, temporary files, processes."""
        for folder in (self.scratch, self.deployment.settings.broker_folder):
            self._files(folder)
        for name, content in self._redis():
            self.messages_seen += 1
            self._judge(f"redis {name}", content)
        self._processes()

    def look_at_last(self) -> None:
        """What stays: logs, and all of TRIAGE_HOME but where scans belong."""
        self._judge("log", self.deployment.logs().encode())
        settings = self.deployment.settings
        belong = (settings.store, settings.inbox, settings.outbox)
        for path in settings.home.iterdir():
            if path not in belong and not path.name.startswith("triage.db"):
                self._files(path)

    def _files(self, root: Path) -> None:
        for path in (root, *root.rglob("*")):
            self._judge(f"name {path}", os.fsencode(path.relative_to(root.parent)))
            with suppress(OSError):  # gone meanwhile, or a folder
                content = path.read_bytes()
                self.messages_seen += path.suffix == ".msg"
                self._judge(str(path), content)

    def _redis(self) -> Iterator[tuple[str, bytes]]:
        if self.broker is None:
            return
        for key in self.broker.scan_iter():
            with suppress(redis.ResponseError, AttributeError):
                yield key.decode(errors="replace"), key + b"".join(self._values(key))

    def _values(self, key: bytes) -> list[bytes]:
        assert self.broker is not None
        readers = {
            b"list": lambda: self.broker.lrange(key, 0, -1),
            b"set": lambda: self.broker.smembers(key),
            b"zset": lambda: self.broker.zrange(key, 0, -1),
            b"hash": lambda: [part for pair in self.broker.hgetall(key).items() for part in pair],
            b"string": lambda: [self.broker.get(key) or b""],
        }
        kind = self.broker.type(key)
        return [] if kind == b"none" else list(readers[kind]())

    def _processes(self) -> None:
        sessions = {worker.process.pid for worker in self.deployment.workers}
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and os.getsid(int(folder.name)) in sessions:
                    for name in ("cmdline", "environ", "comm"):
                        self._judge(f"process {name}", (folder / name).read_bytes())

    def _judge(self, where: str, content: bytes) -> None:
        self.found |= {
            f"{sentinel} in {where}" for sentinel in TELLING if any(form in content for form in forms(sentinel))
        }


def forms(sentinel: str) -> set[bytes]:
    """A text as logs, JSON, Python and older systems write it."""
    found = {
        sentinel.encode(),
        sentinel.lower().encode(),
        json.dumps(sentinel)[1:-1].encode(),
        sentinel.encode("unicode_escape"),
        repr(sentinel.encode())[2:-1].encode(),
        repr(os.fsdecode(sentinel.encode()))[1:-1].encode(),
        sentinel.encode("utf-16-le"),
    }
    return found | {sentinel.encode(charset, "ignore") for charset in ("latin-1", "gb18030") if sentinel.isascii()}


@pytest.mark.parametrize(
    ("kind", "as_json"),
    [("embedded", "true"), pytest.param("scaled_out", "false", marks=pytest.mark.long)],
)
def test_nothing_about_a_patient_is_anywhere_else(
    kind: str, as_json: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    deployment: Deployment = request.getfixturevalue(kind)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    deployment.environment |= QUICK | {"TRIAGE_LOG_JSON": as_json, "TMPDIR": str(scratch)}
    url = deployment.environment.get("TRIAGE_BROKER_URL")
    search = Search(deployment, scratch, None if url is None else redis.Redis.from_url(url))
    worker = deployment.start("-l", "DEBUG")
    settings = deployment.settings
    blocked = settings.outbox / "rejected"
    blocked.rmdir()
    blocked.write_bytes(b"in the way")  # what is refused cannot be given back for a while
    files = drop_everything(deployment)

    def is_so(words: str) -> bool:
        search.look()
        return words in deployment.logs()

    wait_until(lambda: lose_a_stored_scan(deployment, search), 60, "a scan to lose", deployment.logs)
    wait_until(lambda: is_so("reject is tried again later"), 60, "a failed delivery", deployment.logs)
    blocked.unlink()
    wait_until(
        lambda: is_so("is given up after") and deployment.is_done(files), 120, "everything done", deployment.logs
    )
    search.look_at_last()
    if search.broker is not None:
        search.broker.close()
    assert worker.stop() == 0
    assert_it_was_worth_it(deployment, search)
    assert search.found == set()


def lose_a_stored_scan(deployment: Deployment, search: Search) -> bool:
    """Damage one stored scan before it is analysed: the step then meets a bug, and a traceback is logged."""
    search.look()
    with deployment.sessions.begin() as session:
        rows = session.query(ScanFile).filter(
            ScanFile.original_name.like("% lost.dcm"), ScanFile.state == FileState.READ
        )
        row = rows.one_or_none()
    if row is None or row.sha256 is None:
        return False
    path = deployment.settings.store / row.sha256[:2] / row.sha256
    path.write_bytes(path.read_bytes()[:1000])
    return True


def assert_it_was_worth_it(deployment: Deployment, search: Search) -> None:
    """The sentinels went all the way, in all the ways there are; and the search would have found them."""
    with deployment.sessions.begin() as session:
        states = [row.state for row in session.query(ScanFile)]
    assert {FileState.READ, FileState.DUPLICATE, FileState.REJECTED} == set(states)
    assert states.count(FileState.REJECTED) >= 4
    assert "Traceback" in deployment.logs()
    assert search.messages_seen > 0
    control = Search(deployment, search.scratch)
    for row in _names(deployment):
        control._judge("database", row.encode())
    assert any(SCRIPTS["chinese"] in found for found in control.found)


def _names(deployment: Deployment) -> list[str]:
    with deployment.sessions.begin() as session:
        return [row.original_name for row in session.query(ScanFile)]
