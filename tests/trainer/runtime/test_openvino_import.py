"""No usage data leave the machine: OpenVINO and NNCF are imported, and work, without the package that sends them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.runtime.openvino_import import openvino_core

ROOT = Path(__file__).resolve().parents[3]

USE_BOTH = """
import sys
from unittest.mock import MagicMock
import numpy as np
from trainer.runtime.openvino_import import import_nncf, import_openvino
openvino, nncf = import_openvino(), import_nncf()
from openvino import opset13 as ops
image = ops.parameter([1, 1, 8, 8], np.float32)
kernel = np.ones((1, 1, 3, 3), np.float32)
graph = openvino.Model([ops.convolution(image, kernel, [1, 1], [0, 0], [0, 0], [1, 1])], [image])
nncf.quantize(graph, nncf.Dataset([np.zeros((1, 1, 8, 8), np.float32)]))
import torch
openvino.convert_model(torch.nn.Conv2d(1, 1, 3).eval(), example_input=torch.zeros(1, 1, 8, 8))
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__.endswith("telemetry_stub"), telemetry_utils.tm
assert isinstance(nncf.telemetry.telemetry, MagicMock), nncf.telemetry.telemetry
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
"""


@pytest.mark.parametrize("consent", [None, "1"])
def test_nothing_is_sent_or_left_behind_even_where_someone_agreed(tmp_path: Path, consent: str | None) -> None:
    given = tmp_path / "intel" / "openvino_telemetry"  # where OpenVINO keeps consent, client id and counts
    if consent:
        given.parent.mkdir()
        given.write_text(consent)
    hidden = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "NNCF"))}
    done = subprocess.run(
        [sys.executable, "-c", USE_BOTH],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, env={**hidden, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("intel/*")) == ([given] if consent else [])


ENGINES_WHOSE_LIVES_OVERLAP = """
import gc, signal, sys
from pathlib import Path
import numpy as np
from trainer.runtime.bundle import ModelBundle
from trainer.runtime.openvino_engine import load_engine
bundle = ModelBundle.load(Path(sys.argv[1]))
first, second = load_engine(bundle), load_engine(bundle)
second.run(np.zeros((1, 1, bundle.input_size, bundle.input_size), np.float32))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("rung"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_process_has_one_core() -> None:
    assert openvino_core() is openvino_core()


def test_signals_are_heard_after_engines_whose_lives_overlapped(model_folder: Path) -> None:
    """On a CPU with AMX the process would end here; on others the test shows nothing."""
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", ENGINES_WHOSE_LIVES_OVERLAP, str(model_folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "rung\n"), ended.stderr
