"""A model is a folder, `models/<version>/`: what stands in it, written by `trainer.export`, read and checked here."""

import csv
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from trainer.runtime.decision import NEVER_NOVEL, Calibration
from trainer.runtime.novelty import TrainingSubspace
from trainer.runtime.records import CLASSES

SCHEMA = 1
MANIFEST = "model.json"
WEIGHTS = "model.safetensors"
GRAPH = "openvino/model.xml"
GRAPH_WEIGHTS = "openvino/model.bin"
INT8_GRAPH = "openvino/model-int8.xml"
INT8_GRAPH_WEIGHTS = "openvino/model-int8.bin"
CALIBRATION = "calibration.json"
TRAINING_FILES = "training-files.csv"
HELD_OUT_FILES = "held-out-files.csv"
METRICS = "metrics.json"
MODEL_CARD = "MODEL_CARD.md"
SUMMED_FILES = (WEIGHTS, GRAPH, GRAPH_WEIGHTS, CALIBRATION, TRAINING_FILES, HELD_OUT_FILES)
"""Files whose sums model.json holds. The metrics come later and name the weights and calibration they are of."""
INT8_FILES = (INT8_GRAPH, INT8_GRAPH_WEIGHTS)
"""Likewise, where the model has them: both or none. A program of before reads the folder and leaves them alone."""
RUN = "run.json"
"""Likewise: how the training went (`trainer.run_record`). Models up to 2026.11 have none."""
NOVELTY = "novelty.npz"
"""Likewise: where the features of its training images lie (`trainer.runtime.novelty`)."""
OPTIONAL_FILES = (RUN, NOVELTY)


class Protocol(StrEnum):
    """Whether the model was trained on images that look like those of Val; in metrics.json."""

    LEAK_FREE = "leak-free"
    LEAKY = "published (leaky)"
    UNCHECKED = "unchecked"


class ModelFolderError(Exception):
    """A model folder that cannot be used: one sentence saying which file is wrong and how."""


@dataclass(frozen=True)
class PublishedMetrics:
    """How good the model was found to be on images unlike any it was trained on, for reports; from metrics.json.

    Attributes:
        accuracy: share of right answers, 0..1.
        accuracy_ci95: its 95 % interval.
        map50_tumour: mean average precision of the tumour boxes at IoU 0.5; `None` where no box was measured.
        images: number of images it was measured on.
    """

    accuracy: float
    accuracy_ci95: tuple[float, float]
    map50_tumour: float | None
    images: int


@dataclass(frozen=True)
class ListedFile:
    """A line of training-files.csv or held-out-files.csv: an image of Train by its name there, and its sum."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """model.json: what the model is. `files` are sums by name, `recipe` is the training recipe as it was written."""

    version: str
    input_size: int
    flip_tta: bool
    files: Mapping[str, str]
    recipe: Mapping[str, object]

    @property
    def cut_to_head(self) -> bool:
        """Whether the model was trained on images cut to the head, and is to be shown such."""
        return self.recipe.get("cut_to_head", False) is True


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Write beside `path` and rename, so that no reader sees half of it."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text)
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write `value`, whole."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_manifest(folder: Path, version: str, input_size: int, flip_tta: bool, recipe: Mapping[str, object]) -> None:
    """Write model.json with the sums of the files as they are now."""
    optional = [names for names in (INT8_FILES, (RUN,), (NOVELTY,)) if all((folder / name).is_file() for name in names)]
    sums = {name: file_sha256(folder / name) for names in (SUMMED_FILES, *optional) for name in names}
    _write_manifest(folder, Manifest(version, input_size, flip_tta, sums, recipe))


def write_sums(folder: Path, manifest: Manifest, names: Sequence[str]) -> None:
    """Write model.json anew with the sums of some files as they are now, and those of the others as they were."""
    sums = {name: file_sha256(folder / name) for name in names}
    _write_manifest(folder, replace(manifest, files={**manifest.files, **sums}))


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    value = {"schema": SCHEMA, "version": manifest.version, "input_size": manifest.input_size, "classes": list(CLASSES)}
    value |= {"flip_tta": manifest.flip_tta, "recipe": dict(manifest.recipe), "files": dict(manifest.files)}
    write_json(folder / MANIFEST, value)


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write calibration.json."""
    write_json(folder / CALIBRATION, asdict(calibration))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path.parent} is no model folder: {path.name} is missing.") from error
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path} cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise ModelFolderError(f"{path} is not a JSON object.")
    return value


def read_manifest(folder: Path) -> Manifest:
    """Read model.json.

    Raises:
        ModelFolderError: it is missing, broken, of a later schema or of other classes.
    """
    path = folder / MANIFEST
    found = _read_json(path)
    if found.get("schema") != SCHEMA:
        raise ModelFolderError(
            f"{path} has schema {found.get('schema')!r} and this version reads schema {SCHEMA}: "
            "update the program or choose another model."
        )
    if found.get("classes") != list(CLASSES):
        raise ModelFolderError(f"{path} names the classes {found.get('classes')!r} instead of {list(CLASSES)}.")
    try:
        manifest = Manifest(
            str(found["version"]),
            int(found["input_size"]),
            bool(found["flip_tta"]),
            {str(name): str(digest) for name, digest in found["files"].items()},
            dict(found["recipe"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFolderError(f"{path} is not complete: {error!r}.") from error
    if manifest.input_size <= 0 or manifest.input_size % 32:
        raise ModelFolderError(f"{path} has input_size {manifest.input_size}, which is not a multiple of 32.")
    return manifest


def _names_int8(files: Mapping[str, str]) -> bool:
    return any(name in files for name in INT8_FILES)


def check_sums(folder: Path, files: Mapping[str, str], names: Sequence[str]) -> None:
    """Check that files of a model folder are those that model.json was written for.

    Args:
        folder: the model folder.
        files: the sums in its model.json, by name.
        names: of the files to check.

    Raises:
        ModelFolderError: one is missing, or another, or has no sum.
    """
    for name in names:
        if name not in files:
            raise ModelFolderError(f"{folder / MANIFEST} holds no sum of {name}.")
        try:
            digest = file_sha256(folder / name)
        except OSError as error:
            raise ModelFolderError(f"{folder / name} cannot be read: {error.strerror}.") from error
        if digest != files[name]:
            raise ModelFolderError(
                f"{folder / name} is not the file {MANIFEST} was written for (sha256 {digest[:12]}… instead of "
                f"{files[name][:12]}…): copy the model folder again."
            )


def read_calibration(folder: Path) -> Calibration:
    """Read calibration.json.

    Raises:
        ModelFolderError: it is missing, not a calibration, or of another version: what its weights weigh is not known.
    """
    found = _read_json(folder / CALIBRATION)
    missing = sorted({field.name for field in fields(Calibration)} - found.keys())
    if missing:
        raise ModelFolderError(
            f"{folder / CALIBRATION} is of another version (without {', '.join(missing)}): export the model anew."
        )
    try:
        return Calibration(**found)
    except (TypeError, ValueError) as error:
        raise ModelFolderError(f"{folder / CALIBRATION} is not a calibration: {error}.") from error


def read_file_list(path: Path) -> list[ListedFile]:
    """Read training-files.csv or held-out-files.csv.

    Raises:
        ModelFolderError: it is missing, or no list of names and sums.
    """
    try:
        with path.open(newline="") as file:
            return [ListedFile(row["name"], row["sha256"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, UnicodeError) as error:
        raise ModelFolderError(f"{path} is no list of names and sums: {error!r}.") from error


def _read_subspace(folder: Path) -> TrainingSubspace:
    try:
        return TrainingSubspace.read(folder / NOVELTY)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelFolderError(f"{folder / NOVELTY} cannot be used: {error}.") from error


def _read_metrics(folder: Path, files: Mapping[str, str]) -> PublishedMetrics | None:
    """The leak-free figures of metrics.json; `None` where it holds none of these weights and this calibration."""
    if not (folder / METRICS).is_file():
        return None
    found = _read_json(folder / METRICS)
    # what was written before metrics named the calibration and the unseen images is read as it was then
    calibration_sha256 = found.get("calibration_sha256", files[CALIBRATION])
    try:
        if (found["weights_sha256"], calibration_sha256) != (files[WEIGHTS], files[CALIBRATION]):
            return None
        is_leak_free = found.get("protocol") == Protocol.LEAK_FREE or "val_unseen" not in found
        figures = found["val" if is_leak_free else "val_unseen"]
        if figures is None:
            return None
        low, high = (float(bound) for bound in figures["accuracy_ci95"])
        map50 = figures["map50_tumour"]
        return PublishedMetrics(
            float(figures["accuracy"]), (low, high), None if map50 is None else float(map50), int(figures["images"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(f"{folder / METRICS} is not complete: {error!r}.") from error


@dataclass(frozen=True)
class ModelBundle:
    """A checked model folder.

    Attributes:
        folder: where it is.
        version: as reports name it.
        input_size: side of the network's square input, pixels.
        flip_tta: look at every image a second time, mirrored, and average.
        calibration: evidence to probabilities, and thresholds.
        weights_sha256: of model.safetensors.
        metrics: how good it was found to be on images it does not know; `None` when that was never measured.
        has_int8: whether it holds a graph for the `openvino-int8` engine.
        calibration_sha256: of calibration.json.
        subspace: where the features of its training images lie; `None` where that was never fitted.
        cut_to_head: whether it is shown images cut to the head.
    """

    folder: Path
    version: str
    input_size: int
    flip_tta: bool
    calibration: Calibration
    weights_sha256: str
    metrics: PublishedMetrics | None
    has_int8: bool = False
    calibration_sha256: str = ""
    subspace: TrainingSubspace | None = None
    cut_to_head: bool = False

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model folder and check every sum.

        Raises:
            ModelFolderError: a file is missing, broken, of another sum or of a later schema.
        """
        manifest = read_manifest(folder)
        optional = [name for name in OPTIONAL_FILES if name in manifest.files]
        check_sums(
            folder, manifest.files, (*SUMMED_FILES, *(INT8_FILES if _names_int8(manifest.files) else ()), *optional)
        )
        calibration = read_calibration(folder)
        if (NOVELTY in manifest.files) != (calibration.novelty_threshold < NEVER_NOVEL):
            raise ModelFolderError(
                f"{folder} has only one of {NOVELTY} and novelty_threshold: python -m trainer.fit_novelty makes both."
            )
        return cls(
            folder,
            manifest.version,
            manifest.input_size,
            manifest.flip_tta,
            calibration,
            manifest.files[WEIGHTS],
            _read_metrics(folder, manifest.files),
            _names_int8(manifest.files),
            manifest.files[CALIBRATION],
            _read_subspace(folder) if NOVELTY in manifest.files else None,
            manifest.cut_to_head,
        )
