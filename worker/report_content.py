"""From a stored, analysed study to what its report says."""

from collections import Counter
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
    SeriesRow,
)
from trainer.runtime.bundle import ModelBundle
from trainer.runtime.decision import Calibration
from trainer.runtime.records import CLASSES, NO_TUMOR_INDEX, Box, GreyImage, TumorClass
from worker.aspect import Aspect
from worker.domain import InstanceHeader, ReviewReason, SliceKey, StudyKind
from worker.orientation import edge_letters
from worker.selection import Choice, all_headers
from worker.store.models import FileState, Prediction, Result, ScanFile, Study
from worker.studies import missing_instance_numbers
from worker.tracks import LesionTrack, lesion_tracks
from worker.volumes import Volume

KEY_IMAGES = 4
"""Pictures on a report at most."""
JPEG_QUALITY = 92


def report_content(
    study: Study,
    choices: Sequence[Choice],
    bundle: ModelBundle,
    pixels: Callable[[InstanceHeader], GreyImage],
    now: datetime,
    rejected: Sequence[ScanFile] = (),
) -> ReportContent:
    """Everything one study's PDF says, for its current revision.

    Args:
        study: with everything that hangs on it.
        choices: what was to be read of it.
        bundle: of the model.
        pixels: decodes an instance when it is shown.
        now: when the report is made.
        rejected: files that name the study and were refused.
    """
    result = next(row for row in study.results if row.revision == study.revision)
    answers = _answers(study)
    read = [choice.volume for choice in choices if _is_answered(choice.volume, answers)]
    tracks = lesion_tracks(read, {key: _boxes(answer) for key, answer in answers.items()})
    shown = _key_slices(read, answers, tracks)
    says_nothing = ReviewReason.UNLIKE_BRAIN_MR in result.review_reasons or not _is_of_the_answer(bundle, result)
    calibration = None if says_nothing else bundle.calibration
    return ReportContent(
        study=study.public_id,
        revision=study.revision,
        priority=Priority(result.priority),
        label=result.label,
        probabilities=tuple((name.value, value) for name, value in zip(CLASSES, result.probabilities, strict=True)),
        review_reasons=tuple(result.review_reasons),
        notes=_notes(study, choices),
        patient=Patient(
            study.patient_name, study.patient_id, study.patient_birth_date, study.patient_sex, study.patient_age
        ),
        study_description=study.study_description,
        study_date=study.study_date,
        key_images=tuple(
            _key_image(volume, number, _marked(volume.headers[number - 1], tracks), pixels(volume.headers[number - 1]))
            for volume, number in shown
        ),
        findings=tuple(_finding(number, track, calibration) for number, track in enumerate(tracks, start=1)),
        series=() if study.kind == StudyKind.IMAGE else _series_rows(choices, answers, rejected),
        files=tuple(_input_file(file) for file in (*study.files, *rejected)),
        model=_model_facts(bundle, result),
        received_at=study.received_at,
        reported_at=now,
        software_version=version("brain-mri-triage"),
    )


def _answers(study: Study) -> dict[SliceKey, Prediction]:
    """The predictions of the current revision, by slice."""
    return {
        (instance.sha256, prediction.frame): prediction
        for instance in study.instances
        for prediction in instance.predictions
        if prediction.revision == study.revision
    }


def _boxes(prediction: Prediction) -> list[Box]:
    return [Box(TumorClass(box.label), box.score, (box.x1, box.y1, box.x2, box.y2)) for box in prediction.boxes]


def _is_answered(volume: Volume, answers: Mapping[SliceKey, Prediction]) -> bool:
    return volume.headers[0].slice_key in answers


def _key_slices(
    volumes: Sequence[Volume], answers: Mapping[SliceKey, Prediction], tracks: Sequence[LesionTrack]
) -> list[tuple[Volume, int]]:
    """First the slice with the most certain lesion, then in reading order those of other lesions and suspicious ones.

    Each with its volume, by its number there. Where no lesion is boxed the most suspicious slice is the first.
    """
    best = [track.best.header.slice_key for track in tracks]
    suspicious = sorted(answers, key=lambda key: answers[key].probabilities[NO_TUMOR_INDEX])
    first, *rest = list(dict.fromkeys([*best, *suspicious]))[:KEY_IMAGES]
    places = {
        header.slice_key: (volume, number)
        for volume in volumes
        for number, header in enumerate(volume.headers, start=1)
    }
    return [places[first], *(place for key, place in places.items() if key in rest)]


def _marked(header: InstanceHeader, tracks: Sequence[LesionTrack]) -> list[MarkedBox]:
    """The boxes of a slice, each with the number of its lesion, the most certain lesion first."""
    return [
        MarkedBox(number, finding.box.label, finding.box.score, finding.box.xyxy)
        for number, track in enumerate(tracks, start=1)
        for finding in track.findings
        if finding.header.slice_key == header.slice_key
    ]


def _place(volume: Volume, numbers: Sequence[int]) -> str:
    """Which of the slices of a volume, from 1."""
    if volume.headers[0].kind is StudyKind.IMAGE:
        return "Image"
    first, last = min(numbers), max(numbers)
    slices = f"slice {first}" if first == last else f"slices {first}–{last}"
    return f"{volume.name}, {slices} of {len(volume.headers)}"


def _key_image(volume: Volume, number: int, boxes: list[MarkedBox], pixels: GreyImage) -> KeyImage:
    header = volume.headers[number - 1]
    jpeg, aspect = BytesIO(), Aspect.of(header.geometry)
    picture = Image.fromarray(aspect.corrected(pixels))
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    shown = tuple(replace(box, xyxy=aspect.to_corrected(box.xyxy)) for box in boxes)
    orientation = header.geometry.orientation
    edges = edge_letters(orientation) if orientation is not None else None
    return KeyImage(jpeg.getvalue(), picture.width, picture.height, _place(volume, (number,)), shown, edges)


def _finding(number: int, track: LesionTrack, calibration: Calibration | None) -> FindingRow:
    best = track.best
    x1, y1, x2, y2 = best.box.xyxy
    return FindingRow(
        number=number,
        label=track.label,
        score=best.box.score,
        location=_place(best.volume, [finding.number for finding in track.findings]),
        size_px=(x2 - x1, y2 - y1),
        diameter_mm=track.diameter_mm,
        extent_mm=track.extent_mm,
        probability=track.probability(calibration),
    )


def _series_rows(
    choices: Sequence[Choice], answers: Mapping[SliceKey, Prediction], rejected: Sequence[ScanFile]
) -> tuple[SeriesRow, ...]:
    """What became of every series: first those that could be read, then those that were refused, by reason."""
    refused = Counter((file.series_name or "Series without a name", file.message or "") for file in rejected)
    return (
        *(_series_row(choice, answers) for choice in choices),
        *(SeriesRow(name, None, None, count, None, "rejected", why) for (name, why), count in sorted(refused.items())),
    )


def _series_row(choice: Choice, answers: Mapping[SliceKey, Prediction]) -> SeriesRow:
    volume, is_read = choice.volume, _is_answered(choice.volume, answers)
    return SeriesRow(
        name=volume.name,
        weighting=volume.weighting.value,
        plane=volume.plane.value,
        slices=len(volume.headers),
        spacing_mm=volume.spacing_mm,
        outcome="read" if is_read else "left out",
        remark=_irregularities(volume) if is_read else choice.why_not,
    )


def _irregularities(volume: Volume) -> str | None:
    found = []
    if volume.gaps:
        found.append("Slices are missing between others in one place." if volume.gaps == 1 else
                     f"Slices are missing between others in {volume.gaps} places.")  # fmt: skip
    if volume.doubled:
        found.append(f"Slices that lie where another does: {volume.doubled}.")
    return " ".join(found) or None


def _notes(study: Study, choices: Sequence[Choice]) -> tuple[str, ...]:
    notes = []
    headers = all_headers(choices)
    names = {header.series_uid: header.series_name for header in headers}
    missing = missing_instance_numbers(headers)
    for series_uid, numbers in missing.items():
        listed = ", ".join(str(number) for number in numbers[:10]) + (" …" if len(numbers) > 10 else "")
        of = f"{names[series_uid]}: instance numbers {listed}"
        notes.append(f"Incomplete: {of} are not among the images that could be read.")
    if study.incomplete and not missing:
        notes.append("Incomplete: the study was still arriving when it had to be read.")
    notes += sorted({instance.warning for instance in study.instances if instance.warning})
    return tuple(notes)


def _input_file(file: ScanFile) -> InputFile:
    outcome = FileState(file.state).outcome.replace("_", " ")
    return InputFile(file.original_name, file.sha256 or "", outcome, file.message)


def _is_of_the_answer(bundle: ModelBundle, result: Result) -> bool:
    """Else the model was replaced since the study was read."""
    return bundle.version == result.model_version


def _model_facts(bundle: ModelBundle, result: Result) -> ModelFacts:
    is_the_same = _is_of_the_answer(bundle, result)
    metrics = bundle.metrics if is_the_same else None
    return ModelFacts(
        version=result.model_version,
        engine=result.engine,
        weights_sha256=bundle.weights_sha256 if is_the_same else None,
        accuracy=metrics.accuracy if metrics else None,
        accuracy_ci95=metrics.accuracy_ci95 if metrics else None,
        map50_tumour=metrics.map50_tumour if metrics else None,
        test_images=metrics.images if metrics else None,
    )
