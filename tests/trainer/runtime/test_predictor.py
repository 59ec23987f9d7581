"""Images in, answers out; which engine is chosen."""

import fcntl
import importlib.util
import inspect
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trainer.runtime import openvino_engine, openvino_int8_engine, torch_engine
from trainer.runtime.bundle import ModelBundle
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, Predictor, load_predictor
from trainer.runtime.records import FloatArray, NetworkOutput


class CountingEngine:
    """Answers with the mean brightness of each image; remembers the batches it was given."""

    name = "counting"

    def __init__(self) -> None:
        self.batches: list[FloatArray] = []

    def run(self, batch: FloatArray) -> NetworkOutput:
        self.batches.append(batch)
        count = len(batch)
        logits = np.zeros((count, 4), np.float32)
        logits[:, 0] = batch.mean((1, 2, 3)) * 10
        zeros = np.full((count, 84, 4), -30, np.float32)
        return NetworkOutput(logits, np.zeros((count, 2048), np.float32), zeros, -zeros, zeros[..., 0])


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine()


@pytest.fixture
def predictor(model_folder: Path, engine: CountingEngine) -> Predictor:
    return Predictor(ModelBundle.load(model_folder), engine)


class TestPredictor:
    def test_batches_are_bounded_and_answers_in_order(self, predictor: Predictor, engine: CountingEngine) -> None:
        images = [np.full((40 + n, 60), 25 * n, np.uint8) for n in range(8)]
        answers = predictor.predict(images, batch_size=3)
        assert [len(batch) for batch in engine.batches] == [3, 3, 2]
        glioma = [answer.classifier_probabilities[0] for answer in answers]
        assert glioma == sorted(glioma)
        assert len(set(glioma)) == 8

    def test_no_image_no_answer(self, predictor: Predictor, engine: CountingEngine) -> None:
        assert predictor.predict([]) == []
        assert not engine.batches

    @pytest.mark.parametrize(
        "image", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)]
    )
    def test_what_is_no_grey_image_is_refused(self, predictor: Predictor, image: np.ndarray) -> None:
        with pytest.raises(ValueError, match=r"an image is \(h, w\) uint8"):
            predictor.predict([image])

    def test_looking_twice(self, predictor: Predictor, engine: CountingEngine) -> None:
        twice = Predictor(replace(predictor.bundle, flip_tta=True), engine)
        image = np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)
        twice.predict([image])
        assert np.array_equal(engine.batches[0], engine.batches[1][..., ::-1])


class TestChoice:
    def test_auto_takes_openvino_where_there_is_no_gpu(
        self, model_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch_engine, "GPU_SIGNS", ())
        assert load_predictor(model_folder, EngineName.AUTO, threads=1).engine_name == "openvino"

    def test_auto_takes_torch_where_there_is_one(self, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch_engine, "has_gpu", lambda: True)
        assert load_predictor(model_folder, EngineName.AUTO).engine_name == "torch"

    def test_a_driver_without_torch_is_no_gpu(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(torch_engine, "GPU_SIGNS", (tmp_path,))
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        assert not torch_engine.has_gpu()

    @pytest.mark.parametrize(
        ("backend", "advice"), [(openvino_engine, "make install"), (torch_engine, "make install-gpu")]
    )
    def test_a_missing_engine_says_how_to_get_it(
        self, backend: object, advice: str, model_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = EngineName.TORCH if backend is torch_engine else EngineName.OPENVINO
        monkeypatch.setattr(backend, "is_available", lambda: False)
        with pytest.raises(EngineError, match=advice):
            load_predictor(model_folder, name)

    def test_int8_is_its_own_engine(self, model_folder: Path) -> None:
        assert load_predictor(model_folder, EngineName.OPENVINO_INT8, threads=1).engine_name == "openvino-int8"

    def test_int8_of_a_model_without_it_is_one_sentence(self, model_folder: Path) -> None:
        bundle = replace(ModelBundle.load(model_folder), has_int8=False)
        with pytest.raises(EngineError, match=r"has no int8 graph: add it by python -m trainer\.quantize") as refused:
            openvino_int8_engine.load_engine(bundle)
        assert "\n" not in str(refused.value)

    def test_a_cache_is_filled(self, model_folder: Path, tmp_path: Path) -> None:
        load_predictor(model_folder, EngineName.OPENVINO, threads=1, cache=tmp_path / "cache")
        assert list((tmp_path / "cache").glob("*.blob"))

    def test_one_process_at_a_time_fills_a_cache(
        self, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = tmp_path / "cache"

        def compile_model(_graph: Path, _device: str, _options: object) -> str:
            with (cache / openvino_engine.CACHE_LOCK).open("ab") as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "compiled"

        monkeypatch.setattr(openvino_engine, "openvino_core", lambda: SimpleNamespace(compile_model=compile_model))
        load_predictor(model_folder, EngineName.OPENVINO, threads=1, cache=cache)
        with (cache / openvino_engine.CACHE_LOCK).open("ab") as free:
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_a_process_that_stands_still_in_a_cache_is_not_waited_for_for_ever(
        self, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(openvino_engine, "LONGEST_TURN_SECONDS", 0.1)
        (tmp_path / "cache").mkdir()
        with (tmp_path / "cache" / openvino_engine.CACHE_LOCK).open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            load_predictor(model_folder, EngineName.OPENVINO, threads=1, cache=tmp_path / "cache")
        assert "another process has kept it locked" in caplog.text

    def test_a_cache_that_is_of_no_use_costs_nothing_but_time(
        self, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked: list[bool] = []

        def compile_model(_graph: Path, _device: str, options: dict[str, object]) -> str:
            asked.append("CACHE_DIR" in options)
            if asked[-1]:
                raise RuntimeError("cannot set permissions")
            return "compiled"

        core = SimpleNamespace(compile_model=compile_model)
        monkeypatch.setattr(openvino_engine, "openvino_core", lambda: core)
        load_predictor(model_folder, EngineName.OPENVINO, threads=1, cache=tmp_path / "cache")
        assert asked == [True, False]
        assert "the cache of compiled graphs is of no use (cannot set permissions)" in caplog.text

    def test_weights_of_another_network_are_refused(self, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from trainer.runtime import network

        monkeypatch.undo()
        monkeypatch.setattr(network, "BOX_CHANNELS", 7)
        with pytest.raises(EngineError, match="does not fit this version's network"):
            load_predictor(model_folder, EngineName.TORCH)


def test_the_engines_take_the_same_arguments() -> None:
    engines = (torch_engine, openvino_engine, openvino_int8_engine)
    assert len({tuple(inspect.signature(engine.load_engine).parameters) for engine in engines}) == 1
