"""The shipped model gives the same answers with every engine, on real images and in a worker process.

All of Val, and the boxes: `python -m trainer.compare_engines`.
"""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from trainer.grey import read_grey
from trainer.runtime.predictor import EngineName, load_predictor
from trainer.runtime.records import GreyImage, SlicePrediction
from worker.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
VAL = Path(os.environ.get("TRIAGE_SHARED", REPOSITORY.parent / "shared")) / "data" / "kaggle-256" / "Val"
needs_val = pytest.mark.skipif(not VAL.is_dir(), reason=f"no data set at {VAL}; set TRIAGE_SHARED")


@pytest.fixture(scope="module")
def images() -> list[GreyImage]:
    """128 of the 512 images, from all classes."""
    return [read_grey(path) for path in islice(sorted(VAL.glob("*/images/*")), 0, None, 4)]


def predictions(engine: EngineName, images: list[GreyImage]) -> list[SlicePrediction]:
    return load_predictor(Settings().model_folder, engine).predict(images)


@pytest.fixture(scope="module")
def by_openvino(images: list[GreyImage]) -> list[SlicePrediction]:
    return predictions(EngineName.OPENVINO, images)


@needs_val
class TestSameAnswers:
    def test_int8_gives_the_same_label(self, images: list[GreyImage], by_openvino: list[SlicePrediction]) -> None:
        by_int8 = predictions(EngineName.OPENVINO_INT8, images)
        same = [a.label is b.label for a, b in zip(by_int8, by_openvino, strict=True)]
        assert len(same) == 128
        assert np.mean(same) >= 0.99

    def test_torch_gives_the_same_probabilities(
        self, images: list[GreyImage], by_openvino: list[SlicePrediction]
    ) -> None:
        for ours, theirs in zip(predictions(EngineName.TORCH, images[::4]), by_openvino[::4], strict=True):
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-3)
            assert ours.classifier_probabilities == pytest.approx(theirs.classifier_probabilities, abs=1e-3)


@pytest.mark.parametrize("engine", ["openvino", "openvino-int8"])
def test_a_worker_process_takes_the_engine_of_its_settings(tmp_path: Path, engine: str) -> None:
    code = (
        "import sys, numpy as np; from worker.services import Services; from worker.settings import Settings\n"
        "predictor = Services(Settings()).predictor\n"
        "predictor.predict([np.zeros((50, 40), np.uint8)])\n"
        "assert not {'torch', 'nncf', 'openvino_telemetry.main'} & sys.modules.keys()\n"
        "print(predictor.engine_name)"
    )
    own = {"TRIAGE_HOME": str(tmp_path), "TRIAGE_ENGINE": engine}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, env=os.environ | own, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{engine}\n"
