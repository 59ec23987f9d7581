"""What is measured of some answered images, as records; to JSON and back (`metrics.json`, `cross-validation.json`).

In JSON a figure `NAME` is a number and `NAME_ci95` its 95 % interval; both are `null` where there was nothing to count.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

from trainer.intervals import Estimate
from trainer.runtime.records import CLASSES, TumorClass


@dataclass(frozen=True)
class EstimateRecord:
    """A record all of whose fields are estimates, or `None` where there was nothing to count."""

    def as_json(self) -> dict[str, object]:
        """`NAME` and `NAME_ci95` of every field."""
        found: dict[str, object] = {}
        for field in fields(self):
            estimate: Estimate | None = getattr(self, field.name)
            found[field.name] = None if estimate is None else estimate.value
            found[f"{field.name}_ci95"] = None if estimate is None else (estimate.low, estimate.high)
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read it back; other keys are left alone, a figure with a default may be missing.

        Raises:
            KeyError, TypeError, ValueError: a figure is missing or no number.
        """
        read = (field.name for field in fields(cls) if field.name in found or field.default is MISSING)
        return cls(**{name: _estimate(found, name) for name in read})


def _estimate(found: Mapping[str, Any], name: str) -> Estimate | None:
    value = found[name]
    if value is None:
        return None
    low, high = found[f"{name}_ci95"]
    return Estimate(float(value), float(low), float(high))


@dataclass(frozen=True)
class DecisionFigures(EstimateRecord):
    """Shares of images.

    Attributes:
        accuracy: right answers.
        classifier_accuracy: right if the classifier had answered alone.
        sensitivity: tumours that are urgent: at the operating point or above, and no person has to look first.
        specificity: images without a tumour that are not.
        low_margin_share: answers with a low margin.
        disagreement_share: answers that the classifier contradicts.
        capped_share: images unlike a brain MR, or unfamiliar and not sure enough: a person has to look first. `None` in
            files written before it was counted.
    """

    accuracy: Estimate | None
    classifier_accuracy: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    low_margin_share: Estimate | None
    disagreement_share: Estimate | None
    capped_share: Estimate | None = None


@dataclass(frozen=True)
class CalibrationFigures(EstimateRecord):
    """Expected calibration error of the top class.

    Attributes:
        ece_uncalibrated: of the softmax of the class logits.
        ece_classifier: of the classifier after temperature scaling.
        ece: of the answer, boxes and classifier fused.
    """

    ece_uncalibrated: Estimate | None
    ece_classifier: Estimate | None
    ece: Estimate | None


@dataclass(frozen=True)
class BoxFigures(EstimateRecord):
    """Average precision at IoU 0.5, and its mean over IoU 0.5 to 0.95.

    Attributes:
        map50: of all lines as published.
        map: likewise.
        map50_tumour: of the lesions alone.
        map_tumour: likewise.
    """

    map50: Estimate | None
    map: Estimate | None
    map50_tumour: Estimate | None
    map_tumour: Estimate | None


@dataclass(frozen=True)
class ClassScores(EstimateRecord):
    """Of one class.

    Attributes:
        precision: share of the images called this class that are of it.
        recall: share of its images that were called so.
        f1: harmonic mean of the two.
    """

    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None


@dataclass(frozen=True)
class ClassFigures:
    """Everything of one class.

    Attributes:
        label: the class.
        images: how many are of it.
        scores: of its answers.
        boxes: of its boxes; all `None` for No Tumor.
    """

    label: TumorClass
    images: int
    scores: ClassScores
    boxes: BoxFigures

    def as_json(self) -> dict[str, object]:
        """One flat object."""
        return {"images": self.images, **self.scores.as_json(), **self.boxes.as_json()}

    @classmethod
    def from_json(cls, label: TumorClass, found: Mapping[str, Any]) -> Self:
        """Read it back.

        Raises:
            KeyError, TypeError, ValueError: a figure is missing or no number.
        """
        return cls(label, int(found["images"]), ClassScores.from_json(found), BoxFigures.from_json(found))


@dataclass(frozen=True)
class Figures:
    """Everything measured of some images.

    Attributes:
        images: how many they are.
        groups: how many groups of look-alikes they make up; intervals count groups.
        confusion_matrix: `(4, 4)` counts in the order of `CLASSES`, rows are the truth.
        urgent_threshold: the operating point; `None` where models with several answered.
        bootstrap_resamples: draws behind the intervals of calibration error and average precision.
        per_class: in the order of `CLASSES`.
    """

    images: int
    groups: int
    confusion_matrix: tuple[tuple[int, ...], ...]
    urgent_threshold: float | None
    bootstrap_resamples: int
    decision: DecisionFigures
    calibration: CalibrationFigures
    boxes: BoxFigures
    per_class: tuple[ClassFigures, ...]

    def as_json(self) -> dict[str, object]:
        """One object, flat but for `per_class`."""
        return {
            "images": self.images,
            "groups": self.groups,
            "classes": list(CLASSES),
            "confusion_matrix": [list(row) for row in self.confusion_matrix],
            "urgent_threshold": self.urgent_threshold,
            **self.decision.as_json(),
            **self.calibration.as_json(),
            **self.boxes.as_json(),
            "bootstrap_resamples": self.bootstrap_resamples,
            "per_class": {each.label: each.as_json() for each in self.per_class},
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read it back.

        Raises:
            KeyError, TypeError, ValueError: a figure is missing or no number.
        """
        threshold = found["urgent_threshold"]
        return cls(
            int(found["images"]),
            int(found["groups"]),
            tuple(tuple(int(count) for count in row) for row in found["confusion_matrix"]),
            None if threshold is None else float(threshold),
            int(found["bootstrap_resamples"]),
            DecisionFigures.from_json(found),
            CalibrationFigures.from_json(found),
            BoxFigures.from_json(found),
            tuple(ClassFigures.from_json(label, found["per_class"][label]) for label in CLASSES),
        )
