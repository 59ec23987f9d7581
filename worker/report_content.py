"""From a stored, analysed study to what its report says."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from io import BytesIO

from PIL import Image

from reports.content import (
    FindingRow,
    InputFile,
    KeyImage,
    MarkedBox,
    ModelFacts,
    Patient,
    Priority,
    ReportContent,
)
from trainer.runtime.bundle import ModelBundle
from trainer.runtime.records import CLASSES, NO_TUMOR_INDEX, GreyImage
from worker.aspect import Aspect
from worker.domain import InstanceHeader, StudyKind
from worker.orientation import edge_letters
from worker.store.models import FileState, LesionBox, Prediction, Result, ScanFile, Study
from worker.studies import missing_instance_numbers

KEY_IMAGES = 4
"""Pictures on a report at most: the most suspicious slices."""
JPEG_QUALITY = 92


def report_content(
    study: Study,
    headers: list[InstanceHeader],
    bundle: ModelBundle,
    pixels: Callable[[InstanceHeader], GreyImage],
    now: datetime,
) -> ReportContent:
    """Everything one study's PDF says, for its current revision; `pixels` decodes an instance when it is shown."""
    result = next(row for row in study.results if row.revision == study.revision)
    shown = _most_suspicious(study, headers)
    numbered = _numbered_boxes(shown)
    return ReportContent(
        study=study.public_id,
        revision=study.revision,
        priority=Priority(result.priority),
        label=result.label,
        probabilities=tuple((name.value, value) for name, value in zip(CLASSES, result.probabilities, strict=True)),
        review_reasons=tuple(result.review_reasons),
        notes=_notes(study, headers),
        patient=Patient(
            study.patient_name, study.patient_id, study.patient_birth_date, study.patient_sex, study.patient_age
        ),
        study_description=study.study_description,
        study_date=study.study_date,
        key_images=tuple(
            _key_image(header, headers, numbered[header.slice_key], pixels(header)) for header, _ in shown
        ),
        findings=tuple(_finding(header, headers, box) for header, _ in shown for box in numbered[header.slice_key]),
        files=tuple(_input_file(file) for file in study.files),
        model=_model_facts(bundle, result),
        received_at=study.received_at,
        reported_at=now,
        software_version=version("brain-mri-triage"),
    )


def _most_suspicious(study: Study, headers: list[InstanceHeader]) -> list[tuple[InstanceHeader, Prediction]]:
    answers = {
        (instance.sha256, prediction.frame): prediction
        for instance in study.instances
        for prediction in instance.predictions
        if prediction.revision == study.revision
    }
    found = [(header, answers[header.slice_key]) for header in headers]
    ranked = sorted(found, key=lambda item: item[1].probabilities[NO_TUMOR_INDEX])[:KEY_IMAGES]
    return [item for item in found if item in ranked]


def _numbered_boxes(shown: list[tuple[InstanceHeader, Prediction]]) -> dict[tuple[str, int], list[MarkedBox]]:
    numbered: dict[tuple[str, int], list[MarkedBox]] = {}
    number = 0
    for header, prediction in shown:
        boxes = sorted(prediction.boxes, key=lambda box: -box.score)
        numbered[header.slice_key] = [_marked(number + index, box) for index, box in enumerate(boxes, start=1)]
        number += len(boxes)
    return numbered


def _marked(number: int, box: LesionBox) -> MarkedBox:
    return MarkedBox(number, box.label, box.score, (box.x1, box.y1, box.x2, box.y2))


def _caption(header: InstanceHeader, headers: list[InstanceHeader]) -> str:
    if header.kind is StudyKind.IMAGE:
        return "Image"
    series = [other.slice_key for other in headers if other.series_uid == header.series_uid]
    name = header.series_description or f"Series {header.series_number or ''}".strip()
    return f"{name}, slice {series.index(header.slice_key) + 1} of {len(series)}"


def _key_image(
    header: InstanceHeader, headers: list[InstanceHeader], boxes: list[MarkedBox], pixels: GreyImage
) -> KeyImage:
    jpeg, aspect = BytesIO(), Aspect.of(header.geometry)
    picture = Image.fromarray(aspect.corrected(pixels))
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    shown = tuple(replace(box, xyxy=aspect.to_corrected(box.xyxy)) for box in boxes)
    orientation = header.geometry.orientation
    edges = edge_letters(orientation) if orientation is not None else None
    return KeyImage(jpeg.getvalue(), picture.width, picture.height, _caption(header, headers), shown, edges)


def _finding(header: InstanceHeader, headers: list[InstanceHeader], box: MarkedBox) -> FindingRow:
    x1, y1, x2, y2 = box.xyxy
    spacing = header.geometry.spacing_mm
    diameter = max((x2 - x1) * spacing[1], (y2 - y1) * spacing[0]) if spacing else None
    return FindingRow(box.number, box.label, box.score, _caption(header, headers), (x2 - x1, y2 - y1), diameter)


def _notes(study: Study, headers: list[InstanceHeader]) -> tuple[str, ...]:
    notes = []
    missing = missing_instance_numbers(headers)
    if missing:
        listed = ", ".join(str(number) for number in missing[:10]) + (" …" if len(missing) > 10 else "")
        notes.append(f"Incomplete: instance numbers {listed} were not received.")
    elif study.incomplete:
        notes.append("Incomplete: the study was still arriving when it had to be read.")
    notes += sorted({instance.warning for instance in study.instances if instance.warning})
    return tuple(notes)


def _input_file(file: ScanFile) -> InputFile:
    outcome = FileState(file.state).outcome.replace("_", " ")
    return InputFile(file.original_name, file.sha256 or "", outcome, file.message)


def _model_facts(bundle: ModelBundle, result: Result) -> ModelFacts:
    metrics = bundle.metrics
    return ModelFacts(
        version=result.model_version,
        engine=result.engine,
        weights_sha256=bundle.weights_sha256,
        accuracy=metrics.accuracy if metrics else None,
        accuracy_ci95=metrics.accuracy_ci95 if metrics else None,
        map50_tumour=metrics.map50_tumour if metrics else None,
        test_images=metrics.images if metrics else None,
    )
