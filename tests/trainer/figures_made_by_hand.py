"""Figures and metrics that no model has, for tests of what is written and printed."""

from dataclasses import replace

from trainer.figure_records import (
    BoxFigures,
    CalibrationFigures,
    ClassFigures,
    ClassScores,
    DecisionFigures,
    Figures,
)
from trainer.intervals import Estimate
from trainer.metrics import Metrics
from trainer.runtime.bundle import Protocol
from trainer.runtime.records import CLASSES, TumorClass

ESTIMATE = Estimate(0.9, 0.8, 0.95)
NO_BOXES = BoxFigures(None, None, None, None)


def made_up_figures(images: int = 40, groups: int = 30, accuracy: float = 0.9) -> Figures:
    """Figures of some images."""
    boxes = BoxFigures(ESTIMATE, ESTIMATE, ESTIMATE, ESTIMATE)
    scores = ClassScores(ESTIMATE, ESTIMATE, None)
    return Figures(
        images=images,
        groups=groups,
        confusion_matrix=((10, 0, 0, 0), (0, 10, 0, 0), (0, 1, 9, 0), (0, 0, 3, 7)),
        urgent_threshold=0.5,
        bootstrap_resamples=400,
        decision=replace(DecisionFigures(*[ESTIMATE] * 7), accuracy=Estimate(accuracy, accuracy - 0.1, 0.95)),
        calibration=CalibrationFigures(ESTIMATE, Estimate(0.017, 0.01, 0.02), Estimate(0.032, 0.02, 0.04)),
        boxes=boxes,
        per_class=tuple(
            ClassFigures(label, 10, scores, NO_BOXES if label is TumorClass.NO_TUMOR else boxes) for label in CLASSES
        ),
    )


def made_up_metrics(protocol: Protocol = Protocol.LEAK_FREE) -> Metrics:
    """Metrics of a protocol: all of Val, and fewer images wherever that means fewer."""
    val = made_up_figures()
    fewer = made_up_figures(20, 18, 0.85)
    return Metrics(
        model="made-up",
        weights_sha256="0" * 64,
        calibration_sha256="1" * 64,
        engine="openvino",
        images_per_second=9.0,
        protocol=protocol,
        trained_look_alikes_of_val={Protocol.LEAK_FREE: 0, Protocol.LEAKY: 27}.get(protocol),
        training_files_not_found=12 if protocol is Protocol.UNCHECKED else 0,
        val=val,
        val_unseen={Protocol.LEAK_FREE: val, Protocol.LEAKY: fewer}.get(protocol),
        val_clean=made_up_figures(9, 9, 0.8),
    )
