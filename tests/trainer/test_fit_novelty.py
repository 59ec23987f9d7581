"""The threshold of novelty separates, and a model folder keeps it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer import calibrate, fit_novelty
from trainer.fit_novelty import fit_subspace, separate
from trainer.grey import read_grey
from trainer.labels import Split, list_samples
from trainer.runtime.bundle import (
    CALIBRATION,
    NOVELTY,
    ModelBundle,
    ModelFolderError,
    read_calibration,
    read_manifest,
    write_calibration,
    write_sums,
)
from trainer.runtime.decision import NEVER_NOVEL, is_unlike_brain_mr
from trainer.runtime.predictor import EngineName, load_predictor
from trainer.unfamiliar_images import no_brain_images


class TestSeparating:
    def test_between_two_groups_it_stands_in_the_middle(self) -> None:
        found = separate(np.array([0.1, 0.2, 0.3]), np.array([0.7, 0.8]))
        assert found.threshold == pytest.approx(0.5)
        assert (found.caught, found.kept) == (1, 1)

    def test_where_they_overlap_the_most_are_on_their_side(self) -> None:
        found = separate(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.25, 0.7, 0.8, 0.95]))
        assert found.threshold == pytest.approx(0.5)
        assert (found.caught, found.kept) == (0.75, 0.75)


def test_the_subspace_holds_what_it_was_fitted_on() -> None:
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(200, 3)) @ generator.normal(size=(3, 20)) + 4
    subspace = fit_subspace(plane.astype(np.float32), dimensions=8)
    elsewhere = generator.normal(size=(50, 20)).astype(np.float32)
    assert subspace.distances(plane.astype(np.float32)).max() < 0.1 < subspace.distances(elsewhere).min()
    assert subspace.components @ subspace.components.T == pytest.approx(np.eye(len(subspace.components)), abs=1e-5)


class TestModelFolder:
    def test_an_exported_model_knows_its_training_images(self, model_folder: Path) -> None:
        bundle = ModelBundle.load(model_folder)
        assert bundle.subspace is not None
        assert 0 < bundle.calibration.novelty_threshold < NEVER_NOVEL

    def test_an_answer_says_how_unlike_the_image_is(self, model_folder: Path) -> None:
        predictor = load_predictor(model_folder, EngineName.OPENVINO, threads=1)
        noise = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
        (prediction,) = predictor.predict([noise])
        subspace = predictor.bundle.subspace
        assert subspace is not None
        assert prediction.novelty == pytest.approx(float(subspace.distances(predictor.features([noise]))[0]), abs=1e-5)

    def test_text_is_unlike_what_it_knows(self, model_folder: Path, data: Path) -> None:
        predictor = load_predictor(model_folder, EngineName.OPENVINO, threads=1)
        known = [read_grey(sample.image_path) for sample in list_samples(data, Split.TRAIN)[::8]]
        text = [picture for picture in no_brain_images([], 7) if picture.mean() > 200][:8]
        unlike = [
            np.mean([is_unlike_brain_mr(found, predictor.bundle.calibration) for found in predictor.predict(pictures)])
            for pictures in (known, text)
        ]
        assert unlike[0] < 0.3
        assert unlike[1] > 0.7

    def test_it_can_be_fitted_anew_to_the_same(self, own_model: Path, data: Path) -> None:
        before = ModelBundle.load(own_model)
        (own_model / NOVELTY).write_bytes(b"damaged")
        assert fit_novelty.main(["--model", str(own_model), "--data", str(data)]) == 0
        assert ModelBundle.load(own_model).calibration == before.calibration

    def test_a_damaged_file_is_refused(self, own_model: Path) -> None:
        (own_model / NOVELTY).write_bytes(b"damaged")
        with pytest.raises(ModelFolderError, match=r"novelty\.npz is not the file"):
            ModelBundle.load(own_model)

    @pytest.mark.parametrize("kept", ["file", "threshold", "neither"])
    def test_both_or_neither(self, own_model: Path, kept: str) -> None:
        manifest, calibration = read_manifest(own_model), read_calibration(own_model)
        files = dict(manifest.files)
        if kept != "file":
            del files[NOVELTY]
        if kept != "threshold":
            write_calibration(own_model, replace(calibration, novelty_threshold=NEVER_NOVEL))
        write_sums(own_model, replace(manifest, files=files), [CALIBRATION])
        if kept == "neither":
            assert ModelBundle.load(own_model).subspace is None
        else:
            with pytest.raises(ModelFolderError, match=r"only one of novelty\.npz and novelty_threshold"):
                ModelBundle.load(own_model)

    def test_a_new_calibration_leaves_it(self, own_model: Path, data: Path) -> None:
        before = ModelBundle.load(own_model).calibration.novelty_threshold
        calibrate.calibrate_folder(own_model, data)
        assert ModelBundle.load(own_model).calibration.novelty_threshold == before

    def test_no_model_is_one_sentence(self, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit_novelty.main(["--model", str(tmp_path), "--data", str(data)]) == 2
        assert "is no model folder: model.json is missing" in capsys.readouterr().err
