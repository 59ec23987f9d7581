"""A real worker, started by somebody careless and written to by somebody hostile."""

import json
import os
import pickle
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Producer
from kombu import Queue as KombuQueue

from tests.system.deployment import Deployment, wait_until
from tests.test_no_pickle import Exploit
from tests.worker.scans import archive, dicom, png
from worker.app import build_app
from worker.pipeline import INTAKE

DEPLOYMENTS = pytest.mark.parametrize("kind", ["embedded", pytest.param("scaled_out", marks=pytest.mark.long)])


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that gives everybody everything, for the worker to inherit."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def modes_that_are_wrong(deployment: Deployment) -> dict[str, str]:
    """Every path of TRIAGE_HOME that somebody may do more with than they should."""
    settings = deployment.settings
    shared = {settings.inbox, settings.inbox / "stat"}
    wrong = {}
    for path in settings.home.rglob("*"):
        if path.is_relative_to(settings.outbox):
            expected = {0o770} if path.is_dir() else {0o660}
        elif path in shared:
            expected = {0o1770}
        elif path.is_relative_to(settings.cache) and path.is_file():
            expected = {0o600, 0o440}  # OpenVINO's own choice, in a folder of 0700
        else:
            expected = {0o700} if path.is_dir() else {0o600}
        if mode(path) not in expected:
            wrong[str(path.relative_to(settings.home))] = oct(mode(path))
    return wrong


@pytest.mark.usefixtures("careless")
def test_whatever_the_umask_files_are_private_and_what_is_shared_is_shared(embedded: Deployment) -> None:
    embedded.environment |= {"TRIAGE_PATIENT_TEXT": "off"}  # so that its key is there too
    embedded.start()
    reader = sqlite3.connect(embedded.home / "triage.db")  # while one is open, SQLite's files beside it are there
    reader.execute("SELECT count(*) FROM study").fetchall()
    embedded.drop("scan.png", png(1))
    embedded.drop("study.zip", archive({"1.dcm": dicom(1, 1), "2.dcm": dicom(1, 2)}))
    embedded.drop("letter.doc", b"no picture")
    embedded.wait_until_done(5)
    wait_until((embedded.settings.outbox / "index.html").exists, 30, "the worklist", embedded.logs)
    paths = {str(path.relative_to(embedded.home)) for path in embedded.home.rglob("*")}
    assert {"triage.db", "triage.db-wal", "triage.db-shm", "pseudonym.key", "cache", "broker/control"} <= paths
    assert modes_that_are_wrong(embedded) == {}
    assert "TRIAGE_HOME can be written to by others" in embedded.logs()  # the test made it, as carelessly
    reader.close()


@DEPLOYMENTS
def test_a_pickled_message_is_refused_and_the_worker_goes_on(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    deployment: Deployment = request.getfixturevalue(kind)
    worker = deployment.start()
    proof = tmp_path / "proof"
    body = pickle.dumps(([Exploit(proof)], {}, {}))
    for content_type in ("application/x-python-serialize", "application/json", "application/x-unknown"):
        send(deployment, body, content_type)
    wait_until(lambda: refusals(deployment.logs()) == 3, 30, "three refusals", deployment.logs)
    deployment.drop("scan.png", png(1))
    deployment.wait_until_done(1)
    assert len(deployment.reports()) == 1
    assert worker.process.poll() is None
    assert not proof.exists()
    pickle.loads(body)
    assert proof.exists()  # the message would have done it


def refusals(log: str) -> int:
    return log.count("Received invalid task message:") + log.count("Can't decode message body:")


def send(deployment: Deployment, body: bytes, content_type: str) -> None:
    """Put a message of a task of ours on the worker's queue, as anybody can who reaches the broker."""
    with build_app(deployment.settings) as app, app.connection_for_write() as connection:
        publish(connection, body, content_type)


def publish(connection: Connection, body: bytes, content_type: str) -> None:
    queue = INTAKE.queue.value
    with connection.channel() as channel:
        producer = Producer(channel)
        producer.publish(
            body,
            content_type=content_type,
            content_encoding="binary",
            routing_key=queue,
            exchange=Exchange(queue),
            declare=[KombuQueue(queue, Exchange(queue), routing_key=queue)],
            headers={"task": INTAKE.task_name, "id": "hostile", "lang": "py", "argsrepr": "()", "kwargsrepr": "{}"},
        )


def test_the_format_of_messages_is_json_on_disk_too(embedded: Deployment) -> None:
    embedded.home.mkdir(parents=True)
    (embedded.settings.broker_folder / "control").mkdir(parents=True)
    with build_app(embedded.settings) as app:
        app.ring(INTAKE)
    (message,) = embedded.settings.broker_folder.glob("*.msg")
    assert json.loads(message.read_text())["content-type"] == "application/json"
