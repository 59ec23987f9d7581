"""`python -m trainer.quantize`: add an int8 graph for the `openvino-int8` engine to a model folder.

Post-training quantisation by NNCF: the ranges of all activations are taken from images the model was trained on, never
from Val nor from the held-out images. `trainer.export` does the same for a new model.
"""

import contextlib
import logging
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.arguments import parse_model_change
from trainer.calibrate import listed_samples
from trainer.grey import read_grey
from trainer.labels import DatasetError, Sample
from trainer.runtime import bundle
from trainer.runtime.engine import EngineError
from trainer.runtime.openvino_import import import_nncf, import_openvino, openvino_core
from trainer.runtime.preprocess import letterbox, to_batch
from trainer.runtime.records import CLASSES, FloatArray

logger = logging.getLogger("trainer.quantize")

CALIBRATION_IMAGES = 300
"""Images the ranges are taken from, the same number of each class; NNCF's own default."""
SEED = 20261
FLOAT_CONVOLUTIONS = (r"__module\.stem\.0/.*", r"__module\.layer1\.0\.(conv1|downsample\.0)/.*")
"""These stay float: the one that reads the image and the two that read its output."""
FLOAT_TYPES = ("Add",)
"""So do the sums: each block's is the next one's shortcut, and rounding would add up along the network."""

NEEDED_FILES = (bundle.GRAPH, bundle.GRAPH_WEIGHTS, bundle.TRAINING_FILES)
"""Of a model folder: what its int8 graph is made from."""


def quantization_samples(samples: Sequence[Sample], count: int = CALIBRATION_IMAGES) -> list[Sample]:
    """Choose at most `count` samples, a quarter of each class, or all of a class that has fewer; always the same."""
    generator = random.Random(SEED)
    chosen: list[Sample] = []
    for tumor_class in CLASSES:
        of_class = [sample for sample in samples if sample.tumor_class is tumor_class]
        chosen += generator.sample(of_class, min(len(of_class), count // len(CLASSES)))
    return chosen


def quantize_graph(graph: Path, inputs: Sequence[FloatArray]) -> Any:
    """The int8 graph of a float graph, as an `openvino.Model`.

    What stays float, and how ranges are taken, was chosen on the held-out images and on training images that the
    ranges were not taken from (docs/training.md, Int8).

    Args:
        graph: its .xml file.
        inputs: what it is calibrated on, each `(1, 1, s, s)` float32 in 0..1 as the engines get it.

    Raises:
        EngineError: NNCF is not installed, or OpenVINO cannot read the graph.
    """
    try:
        nncf = import_nncf()
    except ModuleNotFoundError as error:
        raise EngineError(f"{error.name} is not installed: run `make install-train`.") from error
    _log_as_we_do()
    try:
        model = openvino_core().read_model(graph)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot read {graph}: {error}") from error
    # NNCF draws its bars on standard output, which belongs to the result
    with contextlib.redirect_stdout(sys.stderr):
        return nncf.quantize(
            model,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            # symmetric weights, asymmetric activations
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(patterns=list(FLOAT_CONVOLUTIONS), types=list(FLOAT_TYPES)),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # 7 bits for weights: without VNNI the sum of two 8-bit products saturates at 16 bits
                overflow_fix=nncf.OverflowFix.ENABLE,
                # every value seen is in range: the default, a mean of extremes, cuts off what large lesions say
                activations_range_estimator_params=nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX,
            ),
        )


def _log_as_we_do() -> None:
    """Undo what importing NNCF does to logging: a handler on standard output, no propagation, every step told."""
    theirs = logging.getLogger("nncf")
    theirs.handlers.clear()
    theirs.propagate = True
    theirs.setLevel(logging.WARNING)


def write_int8_graph(folder: Path, input_size: int, cut_to_head: bool, data: Path) -> None:
    """Write the int8 graph of a model folder beside its float graph; model.json is the caller's.

    Args:
        folder: holds the float graph and training-files.csv.
        input_size: side of the network's input, pixels.
        cut_to_head: whether the network is shown images cut to the head.
        data: the data folder of the run, for the images the model was trained on.

    Raises:
        DatasetError: the data folder holds other files than the run saw.
        EngineError: NNCF is not installed, or OpenVINO cannot read the graph.
    """
    samples = quantization_samples(listed_samples(data, folder / bundle.TRAINING_FILES))
    inputs = [to_batch([letterbox(read_grey(sample.image_path), input_size, cut_to_head)[0]]) for sample in samples]
    logger.info("quantising on %d images the model was trained on", len(inputs))
    model = quantize_graph(folder / bundle.GRAPH, inputs)
    # saved aside first: a save that fails, on a full disk say, leaves the old graph as it was
    with tempfile.TemporaryDirectory(dir=folder, prefix=".int8-") as aside:
        import_openvino().save_model(model, Path(aside, "model.xml"), compress_to_fp16=True)
        for name in bundle.INT8_FILES:
            Path(aside, "model").with_suffix(Path(name).suffix).replace(folder / name)


def quantize_folder(folder: Path, data: Path) -> None:
    """Add the int8 graph to a model folder, or make it anew, and write its new sums; no other file or sum changes.

    Only what the graph is made from is checked, so that a lost or damaged int8 graph can be made anew. Its two files
    and model.json change one after the other: a program that loads the folder meanwhile, or after a crash in between,
    finds sums that do not fit and refuses it; made again, the graph is whole.

    Raises:
        ModelFolderError: model.json is broken, or the float graph or training-files.csv is not the one it names.
        DatasetError, EngineError: as of `write_int8_graph`.
    """
    manifest = bundle.read_manifest(folder)
    bundle.check_sums(folder, manifest.files, NEEDED_FILES)
    write_int8_graph(folder, manifest.input_size, manifest.cut_to_head, data)
    bundle.write_sums(folder, manifest, bundle.INT8_FILES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the int8 graph is written, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_model_change("trainer.quantize", __doc__, arguments)
    try:
        quantize_folder(parsed.model, parsed.data)
    except (bundle.ModelFolderError, DatasetError, EngineError) as error:
        print(f"trainer.quantize: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    logger.info("written; next: python -m trainer.compare_engines --data %s --model %s", parsed.data, parsed.model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
