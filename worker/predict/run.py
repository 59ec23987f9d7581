"""From planned units to their lines: slices of all units go through the network in batches.

At most two batches of pixels are in memory at a time; a unit's line is made when its last slice is predicted, and
lines leave in the order of the units.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from trainer.runtime.predictor import Predictor
from trainer.runtime.records import GreyImage
from worker.analysis import conclude, predict_slices
from worker.domain import GreyRange, InstanceHeader, ReadInstance, SliceFinding, SliceKey
from worker.errors import Reason, RejectedError, io_error_name
from worker.intake import IntakeLimits, read_instance, sha256_of
from worker.predict.inputs import InputFile
from worker.predict.lines import FileLine, FileStatus, StudyLine, answered, refused
from worker.predict.units import Unit
from worker.selection import choose, left_out_slices
from worker.studies import patient_ids_conflict, series_ranges
from worker.volumes import reading_order


@dataclass
class _Reading:
    """A unit on its way: the files looked at, and the slices predicted of those handed to the network."""

    unit: Unit
    files: list[FileLine] = field(default_factory=list)
    handed_over: int = 0
    predicted: list[tuple[SliceFinding, str]] = field(default_factory=list)
    patient_ids_conflict: bool = False

    @property
    def is_done(self) -> bool:
        """All files looked at, all slices predicted."""
        return len(self.files) == len(self.unit.files) and len(self.predicted) == self.handed_over


@dataclass(frozen=True)
class _Plan:
    """What a first look at a unit's files tells.

    Attributes:
        ranges: how the series of each file is shown, by the file's name.
        why_not: slices that are not read.
        patient_ids_conflict: whether the files name different patients, those that are not read among them.
    """

    ranges: Mapping[str, GreyRange] = field(default_factory=dict)
    why_not: Mapping[SliceKey, str] = field(default_factory=dict)
    patient_ids_conflict: bool = False


def predict_units(
    units: Iterable[Unit],
    predictor: Predictor,
    limits: IntakeLimits,
    batch_size: int,
    max_series: int,
    on_file: Callable[[], None] = lambda: None,
) -> Iterator[StudyLine]:
    """Yield the lines of all units, in order; `on_file` is called for every file that was looked at."""
    readings: deque[_Reading] = deque()
    owners: deque[tuple[_Reading, str]] = deque()
    slices = _slices(units, limits, max_series, readings, owners, on_file)
    for finding in predict_slices(predictor, slices, batch_size):
        reading, name = owners.popleft()
        reading.predicted.append((finding, name))
        yield from _finished(readings, predictor)
    yield from _finished(readings, predictor)


def _slices(
    units: Iterable[Unit],
    limits: IntakeLimits,
    max_series: int,
    readings: deque[_Reading],
    owners: deque[tuple[_Reading, str]],
    on_file: Callable[[], None],
) -> Iterator[tuple[InstanceHeader, Callable[[], GreyImage]]]:
    """Read file after file as batches ask for them; notes whose slice each is, and what became of each file."""
    for unit in units:
        reading = _Reading(unit)
        readings.append(reading)
        plan = _planned(unit, limits, max_series)
        reading.patient_ids_conflict = plan.patient_ids_conflict
        for file in unit.files:
            outcome = unit.refusal or _read(file, limits, plan.ranges.get(file.name))
            on_file()
            if isinstance(outcome, RejectedError):
                reading.files.append(FileLine.rejected(file, outcome))
                continue
            why_not = plan.why_not if len(unit.files) > 1 else left_out_slices(choose(outcome.headers, max_series))
            wanted = [header for header in outcome.headers if header.slice_key not in why_not]
            if wanted:
                reading.files.append(FileLine(file.name, FileStatus.READ, message=outcome.warning))
            else:
                reading.files.append(FileLine.left_out(file, why_not[outcome.header.slice_key]))
            reading.handed_over += len(wanted)
            for header in wanted:
                owners.append((reading, file.name))
                yield header, partial(outcome.frame_pixels, header.frame)


def _planned(unit: Unit, limits: IntakeLimits, max_series: int) -> _Plan:
    """Take a first look at all files of a unit of several; pixels are not kept."""
    if len(unit.files) == 1:
        return _Plan()
    looks = ((file.name, _read(file, limits)) for file in unit.files)
    headers = {name: look.headers for name, look in looks if isinstance(look, ReadInstance)}
    slices = {header.slice_key: header for each in headers.values() for header in each}  # copies of a file are one
    why_not = left_out_slices(choose(list(slices.values()), max_series))
    ranges = series_ranges(header for key, header in slices.items() if key not in why_not)
    shown = {name: ranges[each[0].series_uid] for name, each in headers.items() if each[0].series_uid in ranges}
    return _Plan(shown, why_not, patient_ids_conflict(slices.values()))


def _read(file: InputFile, limits: IntakeLimits, shown_by: GreyRange | None = None) -> ReadInstance | RejectedError:
    """The decoded file, or why it is refused; a file that the disk does not give is refused, and the others go on."""
    try:
        sha256 = file.sha256 or sha256_of(file.path, limits.max_file_bytes)
        return read_instance(file.path, sha256, limits, shown_by)
    except RejectedError as error:
        return error
    except OSError as error:
        cause = io_error_name(error)
        return RejectedError(Reason.UNREADABLE, f"The disk did not give the file ({cause}); check it and try again.")


def _finished(readings: deque[_Reading], predictor: Predictor) -> Iterator[StudyLine]:
    while readings and readings[0].is_done:
        yield from _lines(readings.popleft(), predictor)


def _lines(reading: _Reading, predictor: Predictor) -> Iterator[StudyLine]:
    """One line for a study, one a file when none of its files could be read."""
    if not reading.predicted:
        yield from (refused(file, predictor.bundle.version) for file in reading.files)
        return
    headers = _headers(reading)
    places = {id(header): place for place, header in enumerate(reading_order(headers))}
    named = sorted(reading.predicted, key=lambda item: places[id(item[0].header)])
    analysis = conclude(
        [finding for finding, _ in named],
        predictor.bundle.calibration,
        patient_id_conflict=reading.patient_ids_conflict,
    )
    yield answered(reading.files, analysis, named, predictor.bundle)


def _headers(reading: _Reading) -> list[InstanceHeader]:
    return [finding.header for finding, _ in reading.predicted]
