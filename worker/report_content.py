"""From a stored, analysed study to what its report says."""

from collections.abc import Callable, Mapping, Sequence
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
from trainer.runtime.records import CLASSES, NO_TUMOR_INDEX, Box, GreyImage, TumorClass
from worker.aspect import Aspect
from worker.domain import InstanceHeader, StudyKind
from worker.orientation import edge_letters
from worker.store.models import FileState, Prediction, Result, ScanFile, Study
from worker.studies import missing_instance_numbers
from worker.tracks import LesionTrack, lesion_tracks

KEY_IMAGES = 4
"""Pictures on a report at most."""
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
    answers = _answers(study)
    tracks = lesion_tracks([(header, _boxes(answers[header.slice_key])) for header in headers])
    shown = _key_slices(headers, answers, tracks)
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
        key_images=tuple(_key_image(header, headers, _marked(header, tracks), pixels(header)) for header in shown),
        findings=tuple(_finding(number, track, headers) for number, track in enumerate(tracks, start=1)),
        files=tuple(_input_file(file) for file in study.files),
        model=_model_facts(bundle, result),
        received_at=study.received_at,
        reported_at=now,
        software_version=version("brain-mri-triage"),
    )


def _answers(study: Study) -> dict[tuple[str, int], Prediction]:
    """The predictions of the current revision, by slice."""
    return {
        (instance.sha256, prediction.frame): prediction
        for instance in study.instances
        for prediction in instance.predictions
        if prediction.revision == study.revision
    }


def _boxes(prediction: Prediction) -> list[Box]:
    return [Box(TumorClass(box.label), box.score, (box.x1, box.y1, box.x2, box.y2)) for box in prediction.boxes]


def _key_slices(
    headers: list[InstanceHeader], answers: Mapping[tuple[str, int], Prediction], tracks: Sequence[LesionTrack]
) -> list[InstanceHeader]:
    """First the slice with the most certain lesion, then in reading order those of other lesions and suspicious ones.

    Where no lesion is boxed the most suspicious slice is the first.
    """
    best = [track.best.header.slice_key for track in tracks]
    suspicious = sorted(answers, key=lambda key: answers[key].probabilities[NO_TUMOR_INDEX])
    first, *rest = list(dict.fromkeys([*best, *suspicious]))[:KEY_IMAGES]
    by_key = {header.slice_key: header for header in headers}
    return [by_key[first], *(header for header in headers if header.slice_key in rest)]


def _marked(header: InstanceHeader, tracks: Sequence[LesionTrack]) -> list[MarkedBox]:
    """The boxes of a slice, each with the number of its lesion, the most certain lesion first."""
    return [
        MarkedBox(number, finding.box.label, finding.box.score, finding.box.xyxy)
        for number, track in enumerate(tracks, start=1)
        for finding in track.findings
        if finding.header.slice_key == header.slice_key
    ]


def _caption(headers: list[InstanceHeader], header: InstanceHeader) -> str:
    series = [other.slice_key for other in headers if other.series_uid == header.series_uid]
    return _place(header, (series.index(header.slice_key) + 1,), len(series))


def _place(header: InstanceHeader, numbers: Sequence[int], slices: int) -> str:
    """Which of the slices of a series, from 1."""
    if header.kind is StudyKind.IMAGE:
        return "Image"
    name = header.series_description or f"Series {header.series_number or ''}".strip()
    first, last = min(numbers), max(numbers)
    return f"{name}, {f'slice {first}' if first == last else f'slices {first}–{last}'} of {slices}"


def _key_image(
    header: InstanceHeader, headers: list[InstanceHeader], boxes: list[MarkedBox], pixels: GreyImage
) -> KeyImage:
    jpeg, aspect = BytesIO(), Aspect.of(header.geometry)
    picture = Image.fromarray(aspect.corrected(pixels))
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    shown = tuple(replace(box, xyxy=aspect.to_corrected(box.xyxy)) for box in boxes)
    orientation = header.geometry.orientation
    edges = edge_letters(orientation) if orientation is not None else None
    return KeyImage(jpeg.getvalue(), picture.width, picture.height, _caption(headers, header), shown, edges)


def _finding(number: int, track: LesionTrack, headers: list[InstanceHeader]) -> FindingRow:
    best = track.best
    x1, y1, x2, y2 = best.box.xyxy
    slices = sum(header.series_uid == best.header.series_uid for header in headers)
    return FindingRow(
        number=number,
        label=track.label,
        score=best.box.score,
        location=_place(best.header, [finding.number for finding in track.findings], slices),
        size_px=(x2 - x1, y2 - y1),
        diameter_mm=track.diameter_mm,
        extent_mm=track.extent_mm,
    )


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
