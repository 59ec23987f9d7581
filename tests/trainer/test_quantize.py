"""An int8 graph is made from images the model was trained on, and is added to a model folder."""

import csv
import errno
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer import quantize
from trainer.grey import read_grey
from trainer.labels import Sample, Split, list_samples
from trainer.quantize import quantization_samples
from trainer.runtime.bundle import (
    INT8_FILES,
    INT8_GRAPH_WEIGHTS,
    SUMMED_FILES,
    ModelBundle,
    ModelFolderError,
    file_sha256,
)
from trainer.runtime.openvino_import import import_openvino, openvino_core
from trainer.runtime.predictor import EngineName, load_predictor
from trainer.runtime.records import CLASSES, FloatArray, GreyImage


def names(path: Path) -> set[str]:
    with path.open(newline="") as file:
        return {row["name"] for row in csv.DictReader(file)}


@pytest.fixture
def without_int8(own_model: Path) -> Path:
    """The model as a program without int8 would have exported it."""
    for name in INT8_FILES:
        (own_model / name).unlink()
    manifest = json.loads((own_model / "model.json").read_text())
    manifest["files"] = {name: digest for name, digest in manifest["files"].items() if name not in INT8_FILES}
    (own_model / "model.json").write_text(json.dumps(manifest))
    return own_model


@pytest.fixture
def looked_at(data: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the images that are decoded, relative to the data folder."""
    seen: set[str] = set()

    def remember(path: Path) -> GreyImage:
        seen.add(path.relative_to(data).as_posix())
        return read_grey(path)

    monkeypatch.setattr(quantize, "read_grey", remember)
    return seen


def stored_type(value: Any) -> str:
    """The element type a value is stored in: that of the constant behind its conversions and scales."""
    node = value.get_source_output().get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return str(node.get_element_type().get_type_name())


class TestSamples:
    @pytest.fixture
    def samples(self, data: Path) -> list[Sample]:
        return list_samples(data, Split.TRAIN)

    def test_the_same_number_of_each_class(self, samples: list[Sample]) -> None:
        chosen = quantization_samples(samples, 20)
        assert [sum(sample.tumor_class is label for sample in chosen) for label in CLASSES] == [5, 5, 5, 5]
        assert len({sample.name for sample in chosen}) == 20

    def test_always_the_same(self, samples: list[Sample]) -> None:
        assert quantization_samples(samples, 20) == quantization_samples(samples, 20)

    def test_all_of_a_class_that_has_fewer(self, samples: list[Sample]) -> None:
        assert len(quantization_samples(samples, 4000)) == len(samples)


class TestGraph:
    def test_all_convolutions_are_int8_but_the_first_ones(self, model_folder: Path) -> None:
        graph = openvino_core().read_model(model_folder / "openvino/model-int8.xml")
        convolutions = [node for node in graph.get_ops() if node.get_type_name() == "Convolution"]
        in_float = {node.get_friendly_name() for node in convolutions if stored_type(node.input(1)) != "i8"}
        assert {name.split("/")[0] for name in in_float} == {
            "__module.stem.0", "__module.layer1.0.conv1", "__module.layer1.0.downsample.0",
        }  # fmt: skip
        assert len(convolutions) > 30

    def test_it_computes_what_the_float_graph_does(self, model_folder: Path) -> None:
        batch: FloatArray = np.random.default_rng(1).random((4, 1, 64, 64), np.float32)
        floats, ints = (
            load_predictor(model_folder, engine, threads=1)._engine.run(batch)
            for engine in (EngineName.OPENVINO, EngineName.OPENVINO_INT8)
        )
        for name, values in vars(floats).items():
            error = np.linalg.norm(values - getattr(ints, name)) / np.linalg.norm(values)
            assert 0 < error < 0.1, name


class TestCommand:
    def test_it_adds_the_graph_and_changes_nothing_else(
        self,
        data: Path,
        model_folder: Path,
        without_int8: Path,
        capsys: pytest.CaptureFixture[str],
        looked_at: set[str],
    ) -> None:
        before = {name: file_sha256(without_int8 / name) for name in SUMMED_FILES}
        assert not ModelBundle.load(without_int8).has_int8
        assert quantize.main(["--data", str(data), "--model", str(without_int8)]) == 0
        assert ModelBundle.load(without_int8).has_int8
        assert {name: file_sha256(without_int8 / name) for name in SUMMED_FILES} == before
        assert not list(without_int8.glob(".*"))
        # the same numbers as export wrote; names of nodes in the .xml are counted on within one process
        assert (without_int8 / INT8_GRAPH_WEIGHTS).read_bytes() == (model_folder / INT8_GRAPH_WEIGHTS).read_bytes()
        # only images the model was trained on
        assert looked_at
        assert looked_at <= {f"Train/{name}" for name in names(without_int8 / "training-files.csv")}
        assert not looked_at & {f"Train/{name}" for name in names(without_int8 / "held-out-files.csv")}
        # NNCF says what it says where we do
        assert capsys.readouterr().out == ""
        assert (logging.getLogger("nncf").handlers, logging.getLogger("nncf").propagate) == ([], True)

    @pytest.mark.parametrize("name", INT8_FILES)
    @pytest.mark.parametrize("lost", [True, False], ids=["lost", "changed"])
    def test_a_lost_or_changed_graph_is_made_anew(
        self, data: Path, model_folder: Path, own_model: Path, name: str, lost: bool
    ) -> None:
        if lost:
            (own_model / name).unlink()
        else:
            (own_model / name).write_bytes(b"changed")
        assert quantize.main(["--data", str(data), "--model", str(own_model)]) == 0
        assert ModelBundle.load(own_model).has_int8
        assert (own_model / INT8_GRAPH_WEIGHTS).read_bytes() == (model_folder / INT8_GRAPH_WEIGHTS).read_bytes()

    def test_damage_elsewhere_is_neither_in_the_way_nor_covered_up(
        self, data: Path, own_model: Path, without_int8: Path
    ) -> None:
        assert own_model == without_int8
        (own_model / "model.safetensors").write_bytes(b"changed")
        assert quantize.main(["--data", str(data), "--model", str(own_model)]) == 0
        with pytest.raises(ModelFolderError, match=r"model\.safetensors is not the file"):
            ModelBundle.load(own_model)

    @pytest.mark.parametrize("name", quantize.NEEDED_FILES)
    def test_what_it_is_made_from_is_checked(
        self, data: Path, own_model: Path, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = {file: (own_model / file).read_bytes() for file in INT8_FILES}
        with (own_model / name).open("ab") as file:
            file.write(b"\n")
        assert quantize.main(["--data", str(data), "--model", str(own_model)]) == 2
        assert f"{name} is not the file model.json was written for" in capsys.readouterr().err
        assert {file: (own_model / file).read_bytes() for file in INT8_FILES} == before

    def test_a_save_that_fails_leaves_the_old_graph(
        self, data: Path, own_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(import_openvino(), "save_model", full)
        with pytest.raises(OSError, match="No space left"):
            quantize.quantize_folder(own_model, data)
        assert ModelBundle.load(own_model).has_int8
        assert not list(own_model.glob(".*"))

    def test_other_data_are_refused(self, own_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert quantize.main(["--data", str(tmp_path / "none"), "--model", str(own_model)]) == 2
        assert "is missing: --data must name" in capsys.readouterr().err

    def test_a_broken_folder_is_refused(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert quantize.main(["--data", str(data), "--model", str(tmp_path)]) == 2
        assert "is no model folder: model.json is missing" in capsys.readouterr().err

    def test_a_missing_nncf_says_how_to_get_it(
        self, data: Path, without_int8: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "nncf", None)
        assert quantize.main(["--data", str(data), "--model", str(without_int8)]) == 2
        assert "nncf is not installed: run `make install-train`" in capsys.readouterr().err
        assert not ModelBundle.load(without_int8).has_int8
