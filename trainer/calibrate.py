"""`python -m trainer.calibrate`: fit how evidence becomes probabilities, and the thresholds, on the held-out images.

The held-out images were neither trained on nor are they Val, so the figures on Val stay honest.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track

from trainer.arguments import parse_model_change
from trainer.fusion import (
    KindEvidence,
    TumorEvidence,
    boxes_tell_tumors_apart,
    fit_boxes_alone,
    fit_kind,
    fit_temperature,
    fit_tumor,
)
from trainer.labels import DatasetError, Sample, Split, list_samples
from trainer.readings import LabelledReading, ReadSample, answers, read_samples
from trainer.runtime.bundle import (
    HELD_OUT_FILES,
    ModelFolderError,
    file_sha256,
    read_calibration,
    read_file_list,
    read_manifest,
    write_calibration,
    write_manifest,
)
from trainer.runtime.decision import NEVER_NOVEL, NO_BOXES, Calibration, log_odds
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import EngineName, Predictor, load_predictor
from trainer.runtime.records import NO_TUMOR_INDEX
from trainer.shifted_sets import shifted_sets
from trainer.terminal import PROGRESS
from trainer.thresholds import (
    FAMILIAR_SHARE,
    NOT_UNFAMILIAR_SHARE,
    UNFAMILIAR_TUMOR,
    best_box_threshold,
    disagreement_threshold,
    margin_threshold,
    operating_point,
    unfamiliar_none_log_odds,
)

logger = logging.getLogger("trainer.calibrate")


class CalibrationError(Exception):
    """The held-out images do not allow a calibration; the message says why."""


def listed_samples(data: Path, file_list: Path) -> list[Sample]:
    """The samples of Train that a run's file list names (held-out-files.csv, training-files.csv), their sums checked.

    Raises:
        ModelFolderError: the list is missing or broken.
        DatasetError: the data folder holds other files than the run saw.
    """
    wanted = {listed.name: listed.sha256 for listed in read_file_list(file_list)}
    samples = [sample for sample in list_samples(data, Split.TRAIN) if sample.name in wanted]
    changed = [sample.name for sample in samples if file_sha256(sample.image_path) != wanted[sample.name]]
    if changed or len(samples) != len(wanted):
        example = changed[0] if changed else min(wanted.keys() - {sample.name for sample in samples})
        raise DatasetError(
            f"{data} is not the data of this run: of {file_list.name}, {len(changed)} files differ, "
            f"{len(wanted) - len(samples)} are missing (for example {example})."
        )
    return samples


def fit_calibration(
    reads: Sequence[ReadSample], boxes: bool, shifted: Sequence[Sequence[LabelledReading]] = ()
) -> Calibration:
    """Fit everything, step by step: temperature, tumour or not, kind, then the thresholds on the finished answers.

    Args:
        reads: the held-out images as the network reads them.
        boxes: whether the model was trained to box lesions.
        shifted: the same images as other scanners would show them, set by set (`trainer.shifted_sets`); without, every
            image is taken for familiar.

    Raises:
        CalibrationError: the images are all tumours, or all without.
    """
    plain = [LabelledReading(read.reading, read.sample.class_index) for read in reads]
    class_indices = np.array([each.class_index for each in plain], np.int64)
    tumor = class_indices != NO_TUMOR_INDEX
    if not tumor.any() or tumor.all():
        raise CalibrationError(
            f"{len(reads)} held-out images with {int(tumor.sum())} tumours allow no calibration: "
            "train with a larger held-out share."
        )
    temperature = fit_temperature(np.stack([each.reading.class_logits for each in plain]), class_indices)
    evidence = TumorEvidence.of(plain, temperature)
    boxes_lead = boxes and boxes_tell_tumors_apart(evidence)
    box_weight, classifier_weight, bias = fit_tumor(evidence, boxes=boxes_lead)
    kind_box_weight, kind_classifier_weight = fit_kind(KindEvidence.of(plain, temperature), boxes=boxes)
    calibration = Calibration(
        class_temperature=temperature,
        box_weight=box_weight,
        classifier_weight=classifier_weight,
        tumor_bias=bias,
        kind_box_weight=kind_box_weight,
        kind_classifier_weight=kind_classifier_weight,
        box_threshold=best_box_threshold(reads) if boxes else NO_BOXES,
    )
    if boxes_lead and shifted:  # else there is nobody else to ask about an unfamiliar image
        calibration = _with_unfamiliar(calibration, plain, shifted)
    return _with_thresholds(calibration, reads, tumor)


def _with_unfamiliar(
    calibration: Calibration, plain: Sequence[LabelledReading], shifted: Sequence[Sequence[LabelledReading]]
) -> Calibration:
    sets = [TumorEvidence.of(each, calibration.class_temperature) for each in shifted]
    tumor = [each.tumor for each in sets]
    weight, bias = fit_boxes_alone([each.box for each in sets], tumor)
    lesion_weight, lesion_bias = fit_boxes_alone([each.box_of_a_kind for each in sets], tumor)
    novelties = [each.reading.novelty for each in plain]
    return replace(
        calibration,
        unfamiliar_box_weight=weight,
        unfamiliar_bias=bias,
        lesion_weight=lesion_weight,
        lesion_bias=lesion_bias,
        unfamiliar_tumor_log_odds=log_odds(UNFAMILIAR_TUMOR),
        unfamiliar_none_log_odds=unfamiliar_none_log_odds([weight * each.box[each.tumor] + bias for each in sets]),
        familiar_up_to=float(np.quantile(novelties, FAMILIAR_SHARE)),
        unfamiliar_from=float(np.quantile(novelties, NOT_UNFAMILIAR_SHARE)),
    )


def read_shifted(predictor: Predictor, samples: Sequence[Sample], cut_to_head: bool) -> list[list[LabelledReading]]:
    """What the network says about images as other scanners would show them, set by set.

    Raises:
        DatasetError: an image cannot be read.
    """
    sets = shifted_sets(samples, cut_to_head).values()
    return [
        [
            LabelledReading(reading, class_index)
            for reading, class_index in zip(predictor.detect(each.images), each.class_indices.tolist(), strict=True)
        ]
        for each in track(sets, "reading them as others would show them", console=PROGRESS, transient=True)
    ]


def _with_thresholds(calibration: Calibration, reads: Sequence[ReadSample], tumor: np.ndarray) -> Calibration:
    predictions = answers(reads, calibration)
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    return replace(
        calibration,
        urgent_threshold=operating_point(1 - probabilities[tumor, NO_TUMOR_INDEX]),
        low_margin=margin_threshold(probabilities),
        disagreement=disagreement_threshold(predictions),
    )


def calibrate_folder(folder: Path, data: Path) -> Calibration:
    """Fit the calibration of a model folder anew and write it there, with the new sums.

    Raises:
        ModelFolderError: the folder is broken.
        DatasetError: the data folder holds other files than the run saw.
        CalibrationError: its held-out images do not allow a calibration.
    """
    manifest = read_manifest(folder)
    predictor = load_predictor(folder, EngineName.OPENVINO)
    samples = listed_samples(data, folder / HELD_OUT_FILES)
    reads, _ = read_samples(predictor, samples, "reading the held-out images")
    boxes, novelty_threshold = bool(manifest.recipe.get("boxes", True)), read_calibration(folder).novelty_threshold
    knows_novelty = novelty_threshold < NEVER_NOVEL
    shifted = read_shifted(predictor, samples, manifest.cut_to_head) if boxes and knows_novelty else []
    calibration = replace(fit_calibration(reads, boxes, shifted), novelty_threshold=novelty_threshold)
    write_calibration(folder, calibration)
    write_manifest(folder, manifest.version, manifest.input_size, manifest.flip_tta, manifest.recipe)
    return calibration


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when the calibration is written, 2 with one sentence when it cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = parse_model_change("trainer.calibrate", __doc__, arguments)
    try:
        calibration = calibrate_folder(parsed.model, parsed.data)
    except (ModelFolderError, DatasetError, CalibrationError, EngineError) as error:
        print(f"trainer.calibrate: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    logger.info("%s", calibration)
    return 0


if __name__ == "__main__":
    sys.exit(main())
