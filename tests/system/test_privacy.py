"""Where scans' names, ids, dates and texts turn up: in database, store, inbox and outbox, and nowhere else.

A worker at its most talkative reads scans full of sentinels, refuses some and fails over others; meanwhile and after it
all else that it wrote or shows is searched.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from tests.system.deployment import REPOSITORY, Deployment, wait_until
from tests.system.sentinels import SCRIPTS, sentinels_in, telling_scans
from worker.store.models import FileState, ScanFile, Study

QUICK = {
    "TRIAGE_ENGINE": "openvino-int8",
    "TRIAGE_LEASE_SECONDS": "2",
    "TRIAGE_QUIET_SECONDS": "3",
    "TRIAGE_MAX_ATTEMPTS": "2",
}
MONITORING = ("status", "status --json", "health", "doctor", "doctor --json", "verify --sums", "verify --sums --json")
# `worklist`, `show` and `predict` name patients and files to whoever asks: the control, not the search
NAMING = ("worklist", "worklist --json")
# One process for all: to start one takes longer than to ask.
ONE_AFTER_THE_OTHER = """
import sys
from worker.cli import main
for command in sys.argv[1:]:
    print(end=f"\\0{command}\\0")
    sys.argv[1:] = command.split()
    try:
        main()
    except SystemExit:
        pass
"""
TWO_HOURS = 7200.0


@dataclass
class Search:
    """Looks for sentinels, in every spelling they may take, wherever a worker could have left them."""

    deployment: Deployment
    scratch: Path
    broker: redis.Redis | None = None
    found: set[str] = field(default_factory=set)
    messages_seen: int = 0
    asked: subprocess.Popen[bytes] | None = None
    answers: dict[str, bytes] = field(default_factory=dict)
    _judged: set[bytes] = field(default_factory=set)

    def ask(self, commands: tuple[str, ...]) -> None:
        """Call `python -m worker` for each, as operators and their monitors do; `look` judges what they say."""
        wide = {"COLUMNS": "1000"}  # a name in a table is not folded
        self.asked = subprocess.Popen(
            [sys.executable, "-u", "-c", ONE_AFTER_THE_OTHER, *commands], cwd=REPOSITORY, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=os.environ | self.deployment.all_environment | wide,
        )  # fmt: skip

    def is_answered(self) -> bool:
        """Have the commands ended? Looks meanwhile."""
        self.look()
        return self.asked is None

    def look(self) -> None:
        """What is there only for a moment: messages, temporary files, processes, answers of commands."""
        self._commands()
        for folder in (self.scratch, self.deployment.settings.broker_folder):
            self._files(folder)
        for name, content in self._redis():
            self.messages_seen += 1
            self._judge(f"redis {name}", content)
        self._processes()

    def look_at_last(self) -> None:
        """What stays: logs, and all of TRIAGE_HOME but where scans belong."""
        for worker in self.deployment.workers:
            self._judge(f"log {worker.log.name}", worker.log.read_bytes())
        settings = self.deployment.settings
        belong = (settings.store, settings.inbox, settings.outbox)
        for path in settings.home.iterdir():
            if path not in belong and not path.name.startswith("triage.db"):
                self._files(path)

    def _commands(self) -> None:
        if self.asked is None or self.asked.poll() is None:
            return
        said, _ = self.asked.communicate()
        self.asked = None
        _, *parts = said.split(b"\0")
        self.answers = dict(zip(map(bytes.decode, parts[::2]), parts[1::2], strict=True))
        for command, answer in self.answers.items():
            self._judge(f"answer of {command}", answer)

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
        if content not in self._judged:
            self._judged.add(content)
            self.found |= {f"{sentinel} in {where}" for sentinel in sentinels_in(content)}


def _packed(text: str) -> bytes:
    return json.dumps({"body": base64.b64encode(json.dumps([[text], {}]).encode()).decode()}).encode()


# Literals, not what `forms` makes of them: the search must know these without being asked with the same code.
SPELLINGS = {
    "utf-8": ("chinese", b"\xe5\x93\xa8\xe5\x85\xb5\xe5\x80\xbc\xe5\xae\x88"),
    "latin-1": ("latin", b"W\xe4chtergr\xf6\xdfe"),
    "iso8859-5": ("cyrillic", b"\xc7\xd0\xe1\xde\xd2\xde\xd9"),
    "cp1251": ("cyrillic", b"\xd7\xe0\xf1\xee\xe2\xee\xe9"),
    "iso8859-6": ("arabic", b"\xcd\xc7\xd1\xd3\xc7\xe4\xc8\xc7\xc8"),
    "cp1256": ("arabic", b"\xcd\xc7\xd1\xd3\xc7\xe1\xc8\xc7\xc8"),
    "gb18030": ("chinese", b"\xc9\xda\xb1\xf8\xd6\xb5\xca\xd8"),
    "utf-16-le": ("chinese", b"\xe8\x54\x75\x51\x3c\x50\x88\x5b"),
    "utf-16-be": ("chinese", b"\x54\xe8\x51\x75\x50\x3c\x5b\x88"),
    "small letters": ("cyrillic", "часовой".encode()),
    "JSON": ("chinese", rb"\u54e8\u5175\u503c\u5b88"),
    "Python": ("latin", rb"W\xe4chtergr\xf6\xdfe"),
    "repr of bytes": ("chinese", rb"\xc9\xda\xb1\xf8\xd6\xb5\xca\xd8"),
    "repr in JSON": ("chinese", rb"\\xc9\\xda\\xb1\\xf8\\xd6\\xb5\\xca\\xd8"),
    "name that is no UTF-8": ("cyrillic", rb"\udcd7\udce0\udcf1\udcee\udce2\udcee\udce9"),
    "URL": ("chinese", b"%E5%93%A8%E5%85%B5%E5%80%BC%E5%AE%88"),
    "gb18030 read as latin-1": ("chinese", "ÉÚ±øÖµÊØ".encode()),
    "utf-8 read as cp437": ("chinese", "\u03c3ô¿\u03c3à╡\u03c3Ç╝\u03c3«ê".encode()),
    "letters lost": ("latin", b"W?chtergr??e"),
    "message": ("chinese", _packed(SCRIPTS["chinese"])),
    "gb18030 in a message": ("chinese", base64.b64encode(b"name: \xc9\xda\xb1\xf8\xd6\xb5\xca\xd8")),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_search_knows_a_text_however_it_is_written(spelling: str) -> None:
    script, content = SPELLINGS[spelling]
    assert sentinels_in(b"before " + content + b" after") == {SCRIPTS[script]}


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
    theirs = settings.outbox / "reports" / f"{SCRIPTS['latin']}-r1.pdf"
    theirs.write_bytes(b"%PDF")
    os.utime(theirs, (theirs.stat().st_mtime - TWO_HOURS,) * 2)  # `verify` speaks of what is no work in hand
    scans, files = telling_scans()
    for name, content in scans.items():
        deployment.drop(name, content)

    def is_so(words: str) -> bool:
        search.look()
        return words in deployment.logs()

    wait_until(lambda: lose_a_stored_scan(deployment, search), 60, "a scan to lose", deployment.logs)
    wait_until(lambda: is_so("reject is tried again later"), 60, "a failed delivery", deployment.logs)
    search.ask(MONITORING)
    wait_until(search.is_answered, 60, "answers", deployment.logs)
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
        patients = {study.patient_name for study in session.query(Study)}
    assert {"^".join([SCRIPTS[script]] * 5) for script in ("latin", "chinese")} <= patients, "read in other charsets"
    assert {FileState.READ, FileState.DUPLICATE, FileState.REJECTED} == set(states)
    assert states.count(FileState.REJECTED) >= 4
    assert "Traceback" in deployment.logs()
    assert search.messages_seen > 0
    status, verified, examined = (
        json.loads(search.answers[command]) for command in ("status --json", "verify --sums --json", "doctor --json")
    )
    assert search.answers.keys() == set(MONITORING)
    assert status["files"][FileState.REJECTING] > 0
    assert {"object_damaged", "report_orphan"} <= {finding["trouble"] for finding in verified["findings"]}
    assert examined["lines"]
    control = Search(deployment, search.scratch)
    control.ask(NAMING)
    wait_until(control.is_answered, 60, "answers")
    shown = {f"{SCRIPTS[script]} in answer of {command}" for script in ("latin", "chinese") for command in NAMING}
    assert shown <= control.found
