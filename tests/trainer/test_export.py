"""A run folder becomes a model folder, and both engines run it alike."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trainer import export
from trainer.grey import read_grey
from trainer.run_record import End, Ending, RunRecord
from trainer.runtime.bundle import INT8_FILES, SUMMED_FILES, ModelBundle
from trainer.runtime.folding import inference_network
from trainer.runtime.network import BrainTumorClassifier
from trainer.runtime.predictor import EngineName, load_predictor
from trainer.runtime.records import FloatArray, GreyImage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def images(data: Path) -> list[GreyImage]:
    return [read_grey(path) for path in sorted((data / "Val").rglob("*.png"))]


def go_back_to_epoch_1(run_folder: Path, end: End | None) -> None:
    """Make a finished run of two epochs one that was stopped after the first; `end` is what its run.json says."""
    state = json.loads((run_folder / "checkpoint.json").read_text())
    state["progress"]["epochs_done"] = 1
    (run_folder / "checkpoint.json").write_text(json.dumps(state))
    record = RunRecord.read(run_folder)
    assert record is not None
    replace(record, end=end).write(run_folder)


class TestFolder:
    def test_everything_is_in_it(self, model_folder: Path, run_folder: Path) -> None:
        assert {path.relative_to(model_folder).as_posix() for path in model_folder.rglob("*") if path.is_file()} == {
            *SUMMED_FILES,
            *INT8_FILES,
            "model.json",
            "run.json",
            "novelty.npz",
        }
        assert (model_folder / "run.json").read_bytes() == (run_folder / "run.json").read_bytes()
        for name in ("training-files.csv", "held-out-files.csv"):
            assert (model_folder / name).read_bytes() == (run_folder / name).read_bytes()
        manifest = json.loads((model_folder / "model.json").read_text())
        assert manifest["classes"] == ["Glioma", "Meningioma", "No Tumor", "Pituitary"]
        assert manifest["recipe"]["name"] == "default"
        bundle = ModelBundle.load(model_folder)
        assert (bundle.version, bundle.input_size, bundle.flip_tta, bundle.metrics) == ("tiny-1", 64, False, None)
        assert bundle.has_int8

    def test_others_may_read_it(self, model_folder: Path) -> None:
        assert all(path.stat().st_mode & 0o044 == 0o044 for path in model_folder.rglob("*"))
        assert model_folder.stat().st_mode & 0o055 == 0o055

    def test_kernels_are_half_precision_and_vectors_are_not(self, model_folder: Path, run_folder: Path) -> None:
        weights = load_file(model_folder / "model.safetensors")
        assert weights["layer3.0.conv2.weight"].dtype == torch.float16
        assert weights["layer3.0.bn2.running_var"].dtype == torch.float32
        assert weights.keys() == load_file(run_folder / "model.safetensors").keys()

    def test_an_existing_folder_is_not_overwritten(self, data: Path, run_folder: Path, model_folder: Path) -> None:
        with pytest.raises(export.ExportError, match="exists: remove it"):
            export.export(run_folder, data, model_folder)

    def test_nothing_is_left_behind_when_it_fails(
        self, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = [
            "--run",
            str(run_folder),
            "--data",
            str(tmp_path / "no-data"),
            "--out",
            str(tmp_path / "out" / "m"),
        ]
        assert export.main(arguments) == 2
        assert list((tmp_path / "out").iterdir()) == []
        assert "is missing: --data must name" in capsys.readouterr().err

    def test_an_unfinished_run_is_named(self, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert export.main(["--run", str(tmp_path), "--data", str(data)]) == 2
        assert "is no finished run: recipe.json is missing" in capsys.readouterr().err

    @pytest.mark.parametrize("ending", [Ending.OUT_OF_TIME, Ending.INTERRUPTED])
    def test_a_run_that_is_not_over_is_exported_only_when_asked_for(
        self, ending: Ending, run_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stopped = shutil.copytree(run_folder, tmp_path / "stopped")
        go_back_to_epoch_1(stopped, End(1, ending) if ending is Ending.OUT_OF_TIME else None)
        command = ["--run", str(stopped), "--data", str(data), "--out", str(tmp_path / "model")]
        assert export.main(command) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"stopped is not over ({ending} after epoch 1): the same trainer.fit command goes on with it" in error
        assert not (tmp_path / "model").exists()
        assert export.main([*command, "--unfinished"]) == 0
        record = RunRecord.read(tmp_path / "model")
        assert record is not None
        assert record.end == End(1, ending)
        assert ModelBundle.load(tmp_path / "model").version == "model"

    @pytest.mark.parametrize("name", ["run.json", "checkpoint.json", "recipe.json", "model.safetensors"])
    def test_a_broken_file_of_the_run_is_one_sentence(
        self, name: str, run_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        broken = shutil.copytree(run_folder, tmp_path / "broken")
        (broken / name).write_bytes((broken / name).read_bytes()[:-20])
        assert export.main(["--run", str(broken), "--data", str(data), "--out", str(tmp_path / "model")]) == 2
        [error] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trainer.export")]
        assert error.startswith(f"trainer.export: {broken} holds a broken file: ")
        assert not error.endswith("..")

    def test_the_version_comes_from_the_weights(self, run_folder: Path) -> None:
        assert export.default_version(run_folder).startswith("tiny-")
        assert export.default_version(run_folder) == export.default_version(run_folder)


class TestEngines:
    def test_they_agree(self, model_folder: Path, images: list[GreyImage]) -> None:
        openvino, torch_on_cpu = (
            load_predictor(model_folder, engine) for engine in (EngineName.OPENVINO, EngineName.TORCH)
        )
        ours, theirs = openvino.predict(images), torch_on_cpu.predict(images)
        assert (openvino.engine_name, torch_on_cpu.engine_name) == ("openvino", "torch")
        for a, b in zip(ours, theirs, strict=True):
            assert a.probabilities == pytest.approx(b.probabilities, abs=1e-3)
            assert a.classifier_probabilities == pytest.approx(b.classifier_probabilities, abs=1e-3)
        for left, right in zip(openvino.detect(images), torch_on_cpu.detect(images), strict=True):
            assert left.detections.scores[:5] == pytest.approx(right.detections.scores[:5], abs=1e-3)

    def test_any_batch_size_gives_the_same_answers(self, model_folder: Path, images: list[GreyImage]) -> None:
        predictor = load_predictor(model_folder, EngineName.OPENVINO, threads=1)
        by_size = [predictor.predict(images[:5], batch_size) for batch_size in (1, 2, 5, 64)]
        for answers in by_size[1:]:
            for a, b in zip(answers, by_size[0], strict=True):
                assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)

    def test_folding_changes_next_to_nothing(self) -> None:
        model = BrainTumorClassifier().train()
        model(torch.rand(4, 1, 64, 64))  # moves the batch statistics away from 0 and 1
        images = torch.rand(2, 1, 64, 64)
        with torch.inference_mode():
            plain, folded = model.eval()(images), inference_network(model.state_dict())(images)
        for a, b in zip(plain, folded, strict=True):
            assert torch.allclose(a, b, atol=0.05, rtol=0.02)

    @pytest.mark.parametrize("engine", [EngineName.OPENVINO, EngineName.OPENVINO_INT8, EngineName.TORCH])
    def test_outputs_are_float32_with_the_documented_shapes(self, model_folder: Path, engine: EngineName) -> None:
        batch: FloatArray = np.random.default_rng(1).random((3, 1, 64, 64), np.float32)
        output = load_predictor(model_folder, engine)._engine.run(batch)
        shapes = [output.class_logits.shape, output.features.shape, output.box_logits.shape,
                  output.box_distances.shape, output.centreness_logits.shape]  # fmt: skip
        assert shapes == [(3, 4), (3, 2048), (3, 84, 4), (3, 84, 4), (3, 84)]
        assert all(value.dtype == np.float32 for value in vars(output).values())


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


class TestNothingBeforeItIsAsked:
    def test_importing_the_predictor_loads_no_engine(self) -> None:
        done = python(
            "import sys, trainer.runtime.predictor\n"
            "assert not {'torch', 'openvino', 'scipy'} & sys.modules.keys(), sorted(sys.modules)"
        )
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("engine", [EngineName.OPENVINO, EngineName.OPENVINO_INT8])
    def test_children_of_a_fork_predict(self, model_folder: Path, engine: EngineName) -> None:
        done = python(
            "import os, sys, numpy as np; from pathlib import Path\n"
            "from trainer.runtime.predictor import EngineName, load_predictor\n"
            "children = []\n"
            "for _ in range(2):\n"
            "    child = os.fork()\n"
            "    if not child:\n"
            "        predictor = load_predictor(Path(sys.argv[1]), EngineName(sys.argv[2]), threads=1)\n"
            "        predictor.predict([np.zeros((50, 40), np.uint8)])\n"
            "        os._exit('torch' in sys.modules)\n"
            "    children.append(child)\n"
            "sys.exit(max(os.waitpid(child, 0)[1] for child in children))",
            str(model_folder),
            engine,
        )
        assert done.returncode == 0, done.stderr
