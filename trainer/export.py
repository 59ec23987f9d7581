"""`python -m trainer.export`: a run folder becomes a model folder, `models/<version>/`, calibrated, or nothing.

Then `python -m trainer.evaluate --model DIR --write` measures it and writes metrics.json and MODEL_CARD.md into it.
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.calibrate import CalibrationError
from trainer.fit_novelty import fit_novelty_of_folder
from trainer.labels import DatasetError
from trainer.loop import TrainingError
from trainer.quantize import write_int8_graph
from trainer.run import WEIGHTS as RUN_WEIGHTS
from trainer.run_folder import RECIPE, recorded_end
from trainer.run_record import RunRecord, RunRecordError
from trainer.runtime import bundle
from trainer.runtime.decision import Calibration
from trainer.runtime.engine import EngineError
from trainer.runtime.folding import inference_network
from trainer.runtime.openvino_import import import_openvino

logger = logging.getLogger("trainer.export")

OUTPUT_NAMES = ("class_logits", "features", "box_logits", "box_distances", "centreness_logits")


class ExportError(Exception):
    """The run folder cannot be exported; the message says why."""


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        folder: where it is.
        recipe: as it was written.
        weights: as exported, kernels in half precision.
        record: what it began with and how it ended; `None` of a run begun before run.json was.
    """

    folder: Path
    recipe: dict[str, object]
    weights: dict[str, Tensor]
    record: RunRecord | None

    @property
    def input_size(self) -> int:
        """Side of the network input, pixels."""
        return int(str(self.recipe["size"]))

    @property
    def cut_to_head(self) -> bool:
        """Whether the network was trained on images cut to the head."""
        return self.recipe.get("cut_to_head") is True


def in_half_precision(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels and matrices as float16; vectors (batch norm, biases) stay float32, being small and touchy."""
    return {
        name: tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        for name, tensor in weights.items()
    }


def read_run(folder: Path, unfinished: bool = False) -> Run:
    """Read recipe, weights and record of a run folder.

    Args:
        folder: what `trainer.fit` wrote.
        unfinished: read a run that is not over as well.

    Raises:
        ExportError: a file is missing or broken, or the run is not over.
    """
    for name in (RECIPE, RUN_WEIGHTS, bundle.TRAINING_FILES, bundle.HELD_OUT_FILES):
        if not (folder / name).is_file():
            raise ExportError(f"{folder} is no finished run: {name} is missing (python -m trainer.fit --run {folder}).")
    try:
        recipe = json.loads((folder / RECIPE).read_text())
        weights = load_file(folder / RUN_WEIGHTS)
        record, end = RunRecord.read(folder), recorded_end(folder)
    except (ValueError, SafetensorError, RunRecordError, TrainingError) as error:
        raise ExportError(f"{folder} holds a broken file: {str(error).rstrip('.')}.") from error
    if not unfinished and not (end is not None and end.ending.is_over):
        how_far = "nothing says how it ended" if end is None else f"{end.ending} after epoch {end.epochs_done}"
        raise ExportError(
            f"{folder} is not over ({how_far}): the same trainer.fit command goes on with it, --unfinished exports it "
            "as it is."
        )
    return Run(folder, recipe, in_half_precision(weights), record and replace(record, end=end))


def write_graph(run: Run, path: Path) -> None:
    """Write the OpenVINO graph, batch of any length, constants in half precision.

    Raises:
        ExportError: the weights are not this version's network.
    """
    openvino = import_openvino()
    size = run.input_size
    try:
        network = inference_network(run.weights)
    except RuntimeError as error:
        raise ExportError(f"{run.folder} was trained with another network: {error}") from error
    with warnings.catch_warnings(), torch.inference_mode():
        # OpenVINO traces with torch.jit, which warns that it is old
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(
            network, input=[("images", [-1, 1, size, size])], example_input=torch.zeros(2, 1, size, size)
        )
    for output, name in zip(graph.outputs, OUTPUT_NAMES, strict=True):
        output.get_tensor().set_names({name})
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(graph, path, compress_to_fp16=True)


def fill_folder(folder: Path, run: Run, version: str, flip_tta: bool, data: Path) -> Calibration:
    """Write every file of a model folder; the calibration is fitted through the exported graph itself.

    Raises:
        DatasetError, CalibrationError: the run's images are not there, or too few are held out.
        EngineError: NNCF is not installed.
    """
    save_file(run.weights, folder / bundle.WEIGHTS)
    (folder / bundle.WEIGHTS).chmod(0o644)  # safetensors makes private files; another user's worker reads this one
    write_graph(run, folder / bundle.GRAPH)
    shutil.copyfile(run.folder / bundle.TRAINING_FILES, folder / bundle.TRAINING_FILES)
    shutil.copyfile(run.folder / bundle.HELD_OUT_FILES, folder / bundle.HELD_OUT_FILES)
    if run.record is not None:
        run.record.write(folder)
    write_int8_graph(folder, run.input_size, run.cut_to_head, data)
    bundle.write_calibration(folder, Calibration())  # a neutral one, so that the folder can be loaded and measured
    bundle.write_manifest(folder, version, run.input_size, flip_tta, run.recipe)
    fit_novelty_of_folder(folder, data)
    return bundle.read_calibration(folder)


def default_version(run_folder: Path) -> str:
    """Name of the run and first digits of its weights' sum: the same run gives the same version."""
    return f"{run_folder.resolve().name}-{bundle.file_sha256(run_folder / RUN_WEIGHTS)[:8]}"


def export(
    run_folder: Path,
    data: Path,
    out: Path | None = None,
    version: str | None = None,
    flip_tta: bool = False,
    unfinished: bool = False,
) -> Path:
    """Make the model folder of a run; nothing is left behind when a step fails.

    Args:
        run_folder: what `trainer.fit` wrote.
        data: the data folder of that run, for its images: the int8 graph is fitted on some, the calibration on others.
        out: the new model folder, `models/<version>` by default.
        version: as reports will name it, by default from the run's name and weights.
        flip_tta: look at every image twice.
        unfinished: export a run that is not over as well.

    Returns:
        The model folder.

    Raises:
        ExportError: the run is not whole, not over, or not of this version's network, or the model folder exists.
        DatasetError, CalibrationError: the run's images are not there, or too few are held out.
        EngineError: NNCF is not installed.
    """
    run = read_run(run_folder, unfinished)
    version = version or (out.name if out is not None else default_version(run_folder))
    out = out or Path("models") / version
    if out.exists():
        raise ExportError(f"{out} exists: remove it, or choose another --out or --version.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        calibration = fill_folder(partial, run, version, flip_tta, data)
        partial.chmod(0o755)  # mkdtemp's folders are private, a model is not
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("%s", calibration)
    return out


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.export`."""
    parser = argparse.ArgumentParser(prog="python -m trainer.export", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder of trainer.fit")
    parser.add_argument("--data", type=Path, default=Path("dataset"), help="folder with Train/ and Val/")
    parser.add_argument("--out", type=Path, help="model folder to write (default models/VERSION)")
    parser.add_argument("--version", help="name of the model (default: from the run's name and weights)")
    parser.add_argument("--flip-tta", action="store_true", help="the model looks at every image twice")
    parser.add_argument("--unfinished", action="store_true", help="export a run that is not over; its card says so")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the model folder is written, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_arguments(arguments)
    try:
        out = export(parsed.run, parsed.data, parsed.out, parsed.version, parsed.flip_tta, parsed.unfinished)
    except (ExportError, DatasetError, CalibrationError, EngineError, bundle.ModelFolderError) as error:
        print(f"trainer.export: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    logger.info("written to %s; next: python -m trainer.evaluate --data %s --model %s --write", out, parsed.data, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
