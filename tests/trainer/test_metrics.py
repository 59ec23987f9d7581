"""metrics.json: read back as written, bound to weights and calibration, broken in one sentence."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.metrics import Metrics
from trainer.runtime.bundle import CALIBRATION, WEIGHTS, ModelFolderError, Protocol

from .figures_made_by_hand import made_up_metrics


@pytest.mark.parametrize("protocol", list(Protocol))
def test_it_is_read_back(tmp_path: Path, protocol: Protocol) -> None:
    metrics = made_up_metrics(protocol)
    metrics.write(tmp_path)
    assert Metrics.read(tmp_path) == metrics


def test_it_is_of_its_weights_and_its_calibration() -> None:
    metrics, files = made_up_metrics(), {WEIGHTS: "0" * 64, CALIBRATION: "1" * 64}
    assert metrics.is_of(files)
    assert not replace(metrics, weights_sha256="another").is_of(files)
    assert not replace(metrics, calibration_sha256="another").is_of(files)


def test_which_figures_are_leak_free() -> None:
    for protocol, images in ((Protocol.LEAK_FREE, 40), (Protocol.LEAKY, 20), (Protocol.UNCHECKED, None)):
        figures = made_up_metrics(protocol).leak_free
        assert (figures and figures.images) == images


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "metrics.json is missing"),
        ("{", "does not hold this version's figures"),
        ("[]", "does not hold"),
        ('{"model": "x", "weights_sha256": "x"}', "does not hold this version's figures"),
    ],
)
def test_a_broken_one_is_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(ModelFolderError, match=sentence) as refused:
        Metrics.read(tmp_path)
    assert "measure the model with `python -m trainer.evaluate --write`" in str(refused.value)
