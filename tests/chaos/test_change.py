"""What changes under a worker's feet: the schema with rows in flight, the model."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from alembic import command

from tests.chaos.drops import mixed
from tests.chaos.ground import Ground
from worker.migrate import alembic_config
from worker.settings import Settings

COUNT = 6
AWAY_SECONDS = (3.0, 5.0)


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


@pytest.mark.long
def test_a_model_folder_that_is_replaced(ground: Ground, model: Path) -> None:
    ground.deployment.start()
    ground.drop(mixed(COUNT))
    ground.wait_for_work()
    shutil.rmtree(model)
    model.mkdir()
    kill_children(ground)
    ground.pause(*AWAY_SECONDS)
    shutil.copytree(Settings().model_folder, model, dirs_exist_ok=True)
    ground.survives("the model folder replaced, file by file")
