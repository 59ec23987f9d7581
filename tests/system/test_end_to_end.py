"""A real worker on real files: from the inbox to the PDF, on both deployments."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from reports.content import RESEARCH_USE_ONLY
from tests.servers import postgres_server, redis_server
from tests.system.deployment import REPOSITORY, Deployment, answers, compose_options, wait_until
from worker.store.models import Event, FileState, LesionBox, ScanFile, Study, StudyState

IMAGES = 8
SLICES = 3


def drop_samples(deployment: Deployment, samples: Path) -> int:
    """Drop all samples; returns how many files."""
    files = [path for path in samples.rglob("*") if path.is_file() and path.suffix != ".md"]
    for path in files:
        deployment.drop(path.name, path.read_bytes())
    return len(files)


def head_like_jpeg(seed: int) -> bytes:
    """A small picture no other seed gives: an ellipse with texture."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    picture = np.where(x**2 / 0.6 + y**2 / 0.9 < 1, 90 + 40 * np.sin(6 * x + seed), 0)
    picture = np.clip(picture + generator.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def assert_samples_reported(deployment: Deployment) -> None:
    """One report an image, one for the DICOM series, all in the outbox and on the worklist page."""
    found = answers(deployment.sessions)
    assert len(found) == IMAGES + 1, found
    assert {state for state, _, _ in found.values()} == {StudyState.REPORTED}
    assert sorted(len(names) for _, _, names in found.values()) == [1] * IMAGES + [SLICES]
    assert len(deployment.reports()) == IMAGES + 1
    index = deployment.settings.outbox / "index.html"
    wait_until(lambda: index.is_file() and all(name in index.read_text() for name in deployment.reports()), 15, "page")
    for name in deployment.reports():
        pages = PdfReader(deployment.settings.outbox / "reports" / name).pages
        assert pages
        for page in pages:
            assert RESEARCH_USE_ONLY.split(".")[0] in " ".join(page.extract_text().split())


def test_samples_become_reports_on_embedded_defaults(embedded: Deployment, samples: Path) -> None:
    worker = embedded.start()
    files = drop_samples(embedded, samples)
    embedded.wait_until_done(files)
    assert_samples_reported(embedded)
    with embedded.sessions.begin() as session:
        assert session.query(LesionBox).count() > 0
    assert worker.stop() == 0
    assert not list(embedded.settings.claimed.iterdir())


def test_ctrl_c_stops_cleanly_and_a_second_start_goes_on(embedded: Deployment) -> None:
    worker = embedded.start()
    worker.process.send_signal(signal.SIGINT)
    worker.process.wait(60)  # celery itself ends with 1 after Ctrl-C; `make run` knows that
    assert "Warm shutdown" in worker.log.read_text()
    assert "Traceback" not in worker.log.read_text()
    embedded.drop("later.jpg", head_like_jpeg(1))
    embedded.start()
    embedded.wait_until_done(1)
    assert len(embedded.reports()) == 1


def test_three_workers_on_redis_and_postgres_give_the_same_answers(
    embedded: Deployment, scaled_out: Deployment, samples: Path, tmp_path: Path
) -> None:
    scaled_out.home = tmp_path / "scaled"
    for service in ("intake", "inference", "reports"):
        scaled_out.start(*compose_options(service))
    files = drop_samples(scaled_out, samples)
    scaled_out.wait_until_done(files)
    assert_samples_reported(scaled_out)
    for worker in scaled_out.workers:
        assert worker.stop() == 0
    embedded.start()
    drop_samples(embedded, samples)
    embedded.wait_until_done(files)
    assert answers(embedded.sessions) == answers(scaled_out.sessions)


@pytest.mark.parametrize("kind", ["embedded", pytest.param("scaled_out", marks=pytest.mark.long)])
def test_kill_9_in_the_middle_loses_and_doubles_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    deployment: Deployment = request.getfixturevalue(kind)
    count = 40
    worker = deployment.start()
    for number in range(count):
        deployment.drop(f"scan {number}.jpg", head_like_jpeg(number))
    wait_until(lambda: len(deployment.reports()) >= 5, 120, "first reports", deployment.logs)
    worker.kill()
    assert len(deployment.reports()) < count, "all was done before the kill: the test proves nothing"
    deployment.start()
    deployment.wait_until_done(count)
    assert len(deployment.reports()) == count
    with deployment.sessions.begin() as session:
        assert session.query(Study).filter_by(state=StudyState.REPORTED, revision=1).count() == count
        assert session.query(Event).filter_by(kind="reported").count() == count
        assert session.query(ScanFile).filter_by(state=FileState.READ).count() == count


def test_bad_input_is_kept_with_its_reason_and_blocks_nothing(embedded: Deployment, samples: Path) -> None:
    good_dicom = next(samples.rglob("*.dcm")).read_bytes()
    good_jpeg = next(samples.rglob("*.jpg")).read_bytes()
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    bad = {
        "text.jpg": (b"this is not a picture\n" * 40, "not_an_image"),
        "cut.jpg": (good_jpeg[: len(good_jpeg) // 2], "truncated"),
        "cut.dcm": (good_dicom[:-1000], "truncated"),
        "empty.png": (b"", "truncated"),
        "bomb.png": (bomb.getvalue(), "too_large"),
        'quote"s and\nnewline 🧠.jpg': (b"neither is this", "not_an_image"),
    }
    embedded.start()
    outside = embedded.home.parent / "outside.jpg"
    outside.write_bytes(good_jpeg)
    (embedded.settings.inbox / "link.jpg").symlink_to(outside)
    os.mkfifo(embedded.settings.inbox / "pipe.jpg")
    for name, (content, _) in bad.items():
        embedded.drop(name, content)
    embedded.drop("good 🧠 'quoted'\n.jpg", good_jpeg)
    embedded.wait_until_done(len(bad) + 1)
    assert len(embedded.reports()) == 1
    with embedded.sessions.begin() as session:
        rows = {row.original_name: row for row in session.query(ScanFile)}
        assert rows.keys() == bad.keys() | {"good 🧠 'quoted'\n.jpg"}
        for name, (content, reason) in bad.items():
            assert (rows[name].state, rows[name].reason) == (FileState.REJECTED, reason), name
            folder = embedded.settings.outbox / "rejected" / f"{rows[name].id:08d}"
            kept = [path for path in folder.iterdir() if path.name != "reason.txt"]
            assert [path.read_bytes() for path in kept] == [content]
            assert (folder / "reason.txt").read_text().startswith(f"{reason}: ")
    assert (embedded.settings.inbox / "link.jpg").is_symlink()
    assert outside.read_bytes() == good_jpeg
    for secret in ("quoted", "newline", "text.jpg"):
        assert secret not in embedded.logs(), "a file name is patient data and must not be logged"


def test_a_broker_that_loses_everything_costs_nothing(tmp_path: Path) -> None:
    with postgres_server() as postgres:
        deployment = Deployment(tmp_path / "home", {"TRIAGE_DATABASE_URL": postgres.create_database()})
        with redis_server() as broker_url:
            deployment.environment["TRIAGE_BROKER_URL"] = broker_url
            deployment.start(*compose_options("intake"))
            for number in range(5):
                deployment.drop(f"{number}.jpg", head_like_jpeg(number))
            wait_until(lambda: len(answers(deployment.sessions)) == 5, 60, "intake", deployment.logs)
            deployment.close()
        with redis_server() as another_url:
            deployment.environment["TRIAGE_BROKER_URL"] = another_url
            deployment.start()
            deployment.wait_until_done(5)
            deployment.close()
        assert len(deployment.reports()) == 5


@pytest.mark.long
def test_two_workers_watch_one_inbox(scaled_out: Deployment) -> None:
    scaled_out.start(*compose_options("intake"))
    scaled_out.start()
    for number in range(30):
        scaled_out.drop(f"ward/{number}.jpg", head_like_jpeg(number))
    scaled_out.wait_until_done(30)
    assert len(scaled_out.reports()) == 30
    assert {len(names) for _, _, names in answers(scaled_out.sessions).values()} == {1}


def test_a_dropped_archive_is_read_member_by_member(embedded: Deployment) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("study/one.jpg", head_like_jpeg(1))
        members.writestr("study/two.jpg", head_like_jpeg(2))
        members.writestr("study/readme.jpg", b"not a picture")
    embedded.start()
    embedded.drop("study.zip", archive.getvalue())
    embedded.wait_until_done(4)
    assert len(embedded.reports()) == 2
    with embedded.sessions.begin() as session:
        outcomes = {row.original_name: row.state for row in session.query(ScanFile)}
    assert outcomes == {
        "study.zip": FileState.READ,
        "study.zip/study/one.jpg": FileState.READ,
        "study.zip/study/two.jpg": FileState.READ,
        "study.zip/study/readme.jpg": FileState.REJECTED,
    }


def test_importing_the_application_loads_neither_torch_nor_openvino() -> None:
    check = "import sys, worker.celery; sys.exit(any(name in sys.modules for name in ('torch', 'openvino')))"
    assert subprocess.run([sys.executable, "-c", check], cwd=REPOSITORY, check=False).returncode == 0
