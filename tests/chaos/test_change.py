"""What changes under a worker's feet: the schema with rows in flight, the model."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from pypdf import PdfReader

from tests.chaos.drops import mixed
from tests.chaos.ground import Ground
from trainer.runtime.bundle import CALIBRATION, ModelBundle, read_manifest, write_calibration, write_sums
from worker.migrate import alembic_config
from worker.outbox import report_path
from worker.settings import Settings
from worker.store.models import Study

COUNT = 6
AWAY_SECONDS = (3.0, 5.0)
ANOTHER_VERSION = "2099.1.1"


def test_an_upgrade_with_rows_in_flight(ground: Ground) -> None:
    """The worker is killed, the database is that of the version before, and the new worker migrates it."""
    worker = ground.deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    worker.kill()
    command.downgrade(alembic_config(ground.deployment.settings.resolved_database_url), "-1")
    ground.deployment.start()
    ground.survives("an upgrade from the schema before with rows in flight")


def kill_children(ground: Ground) -> None:
    """So that those who replace them load the model that is there now."""
    for child in ground.deployment.workers[-1].children:
        os.kill(child, signal.SIGKILL)


@pytest.fixture
def model(ground: Ground, tmp_path: Path) -> Path:
    """A model folder that may be changed."""
    folder = tmp_path / "model"
    shutil.copytree(Settings().model_folder, folder)
    ground.deployment.environment |= {"TRIAGE_MODEL": str(folder)}
    return folder


@pytest.mark.long
def test_a_model_folder_that_is_away_for_a_while(ground: Ground, model: Path) -> None:
    ground.deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    aside = model.rename(model.with_name("aside"))
    kill_children(ground)
    ground.pause(*AWAY_SECONDS)
    aside.rename(model)
    ground.survives("the model folder away for a while")


def another_model(model: Path, folder: Path) -> Path:
    """The same network, by another version's name and calibration."""
    shutil.copytree(model, folder)
    bundle, manifest = ModelBundle.load(folder), read_manifest(folder)
    calibration = replace(bundle.calibration, tumor_bias=bundle.calibration.tumor_bias - 1)
    write_calibration(folder, calibration)
    write_sums(folder, replace(manifest, version=ANOTHER_VERSION), [CALIBRATION])
    return folder


@pytest.mark.long
def test_a_model_folder_that_is_replaced(ground: Ground, model: Path, tmp_path: Path) -> None:
    """File by file, by another model, which reads the rest; every report names the one that read its study."""
    deployment, version = ground.deployment, ModelBundle.load(model).version
    another = another_model(model, tmp_path / "another")
    deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    for file in sorted(path for path in another.rglob("*") if path.is_file()):
        part = model / ".part"
        shutil.copy(file, part)
        part.rename(model / file.relative_to(another))
        kill_children(ground)
        ground.pause(0, 0.5)
    ground.drop(mixed(COUNT, first_seed=COUNT))
    ground.survives("the model folder replaced, file by file")
    with deployment.sessions.begin() as session:
        read_by = {study.public_id: study.results[-1].model_version for study in session.query(Study)}
    assert set(read_by.values()) == {version, ANOTHER_VERSION}
    for public_id, named in read_by.items():
        report = PdfReader(deployment.settings.outbox / report_path(public_id, 1))
        text = "".join(page.extract_text() for page in report.pages)
        assert {word for word in (version, ANOTHER_VERSION) if word in text} == {named}
