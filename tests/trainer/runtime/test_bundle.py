"""A model folder is whole or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.runtime.bundle import (
    INT8_FILES,
    SUMMED_FILES,
    ModelBundle,
    ModelFolderError,
    file_sha256,
    read_calibration,
    write_manifest,
)
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, load_predictor


def change(folder: Path, **values: object) -> None:
    manifest: dict[str, Any] = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | values))


def test_a_whole_folder(model_folder: Path) -> None:
    bundle = ModelBundle.load(model_folder)
    assert bundle.weights_sha256 == file_sha256(model_folder / "model.safetensors")
    assert bundle.folder == model_folder


def without_int8(folder: Path) -> dict[str, str]:
    """The sums in model.json but for the int8 graph's: what a program without int8 writes."""
    files = json.loads((folder / "model.json").read_text())["files"]
    return {name: digest for name, digest in files.items() if name not in INT8_FILES}


def test_a_folder_without_int8_is_whole(own_model: Path) -> None:
    change(own_model, files=without_int8(own_model))
    assert not ModelBundle.load(own_model).has_int8  # whatever lies there: no sum says that it belongs to the model
    for name in INT8_FILES:
        (own_model / name).unlink()
    assert load_predictor(own_model, EngineName.OPENVINO, threads=1).engine_name == "openvino"
    with pytest.raises(EngineError, match="has no int8 graph"):
        load_predictor(own_model, EngineName.OPENVINO_INT8)


def test_half_an_int8_graph_is_refused(own_model: Path) -> None:
    sums = without_int8(own_model)
    change(own_model, files=sums | {INT8_FILES[0]: file_sha256(own_model / INT8_FILES[0])})
    with pytest.raises(ModelFolderError, match=f"holds no sum of {INT8_FILES[1]}"):
        ModelBundle.load(own_model)


@pytest.mark.parametrize("name", [*SUMMED_FILES, *INT8_FILES])
def test_a_changed_file_is_refused(own_model: Path, name: str) -> None:
    with (own_model / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ModelFolderError, match="is not the file"):
        ModelBundle.load(own_model)


@pytest.mark.parametrize("name", [*SUMMED_FILES, *INT8_FILES])
def test_a_missing_file_is_refused(own_model: Path, name: str) -> None:
    (own_model / name).unlink()
    with pytest.raises(ModelFolderError, match="cannot be read: No such file"):
        load_predictor(own_model)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: change(folder, schema=2), "schema 2 and this version reads schema 1: update the program"),
        (lambda folder: change(folder, classes=["a", "b"]), r"names the classes \['a', 'b'\]"),
        (lambda folder: change(folder, input_size=100), "input_size 100, which is not a multiple of 32"),
        (lambda folder: change(folder, files=None), "is not complete"),
        (lambda folder: change(folder, files={}), "holds no sum of model.safetensors"),
        (lambda folder: (folder / "model.json").write_text("{"), "model.json cannot be read"),
        (lambda folder: (folder / "model.json").write_text("[]"), "is not a JSON object"),
        (lambda folder: (folder / "model.json").unlink(), "is no model folder"),
        (lambda folder: (folder / "metrics.json").write_text('{"weights_sha256": "x"'), "metrics.json cannot be read"),
    ],
)
def test_a_broken_folder_is_one_sentence(own_model: Path, damage: Callable[[Path], object], sentence: str) -> None:
    damage(own_model)
    with pytest.raises(ModelFolderError, match=sentence) as refused:
        ModelBundle.load(own_model)
    assert "\n" not in str(refused.value)


def test_a_calibration_of_another_version_is_refused(own_model: Path) -> None:
    whole = json.loads((own_model / "calibration.json").read_text())
    del whole["lesion_weight"]
    (own_model / "calibration.json").write_text(json.dumps(whole))
    with pytest.raises(ModelFolderError, match=r"of another version \(without lesion_weight\): export the model anew"):
        read_calibration(own_model)


@pytest.mark.parametrize("text", ['{"box_weight": -1}', '{"new_value": 1}', '{"box_weight": "1"}', '{"low_margin": 2}'])
def test_an_impossible_calibration_is_refused(own_model: Path, text: str) -> None:
    whole = json.loads((own_model / "calibration.json").read_text())
    (own_model / "calibration.json").write_text(json.dumps(whole | json.loads(text)))
    manifest = json.loads((own_model / "model.json").read_text())
    sums = manifest["files"] | {"calibration.json": file_sha256(own_model / "calibration.json")}
    change(own_model, files=sums)
    with pytest.raises(ModelFolderError, match="is not a calibration"):
        ModelBundle.load(own_model)


def test_a_folder_without_a_record_of_its_run_is_whole(own_model: Path) -> None:
    """As models up to 2026.11 are."""
    (own_model / "run.json").unlink()
    with pytest.raises(ModelFolderError, match=r"run\.json cannot be read"):
        ModelBundle.load(own_model)
    files = json.loads((own_model / "model.json").read_text())["files"]
    del files["run.json"]
    change(own_model, files=files)
    assert ModelBundle.load(own_model).version == "tiny-1"
    bundle = ModelBundle.load(own_model)
    write_manifest(own_model, bundle.version, bundle.input_size, bundle.flip_tta, {})
    assert json.loads((own_model / "model.json").read_text())["files"] == files


def test_a_changed_record_of_the_run_is_refused(own_model: Path) -> None:
    (own_model / "run.json").write_text("{}")
    with pytest.raises(ModelFolderError, match=r"run\.json is not the file"):
        ModelBundle.load(own_model)
