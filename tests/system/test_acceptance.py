"""The published Val images through both deployments with the bundled model; runs where the shared data is."""

import os
from pathlib import Path

import pytest

from tests.system.deployment import REPOSITORY, Deployment, answers, compose_options
from trainer.runtime.records import CLASSES

SHARED = Path(os.environ.get("TRIAGE_SHARED", REPOSITORY.parent / "shared"))
VAL = SHARED / "data" / "kaggle-val" / "Val"
IMAGES_A_CLASS = 16
LABELS_RIGHT = 61

pytestmark = pytest.mark.skipif(not VAL.is_dir(), reason=f"needs the published Val images in {VAL}")


def drop_first_images(deployment: Deployment) -> dict[str, str]:
    """Drop the first images of every class; returns file name to class."""
    classes = {}
    for tumor_class in CLASSES:
        for path in sorted((VAL / tumor_class / "images").iterdir())[:IMAGES_A_CLASS]:
            deployment.drop(path.name, path.read_bytes())
            classes[path.name] = tumor_class.value
    return classes


def test_val_images_get_the_right_labels_and_the_same_rows_on_both_deployments(
    embedded: Deployment, scaled_out: Deployment, tmp_path: Path
) -> None:
    embedded.start()
    classes = drop_first_images(embedded)
    embedded.wait_until_done(len(classes))
    found = answers(embedded.sessions)
    assert len(embedded.reports()) == len(found) == len(classes)
    right = sum(label == classes[name] for _, label, (name,) in found.values())
    assert right >= LABELS_RIGHT, f"{right} of {len(classes)} labels are right"
    embedded.close()

    scaled_out.home = tmp_path / "scaled"
    for service in ("intake", "inference", "reports"):
        scaled_out.start(*compose_options(service))
    drop_first_images(scaled_out)
    scaled_out.wait_until_done(len(classes))
    assert answers(scaled_out.sessions) == found
