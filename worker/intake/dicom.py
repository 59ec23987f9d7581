"""DICOM files: classic MR images and the frames of enhanced ones, every common transfer syntax."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial, reduce
from operator import add
from pathlib import Path
from typing import Self

from pydicom import Dataset

from trainer.runtime.records import GreyImage
from worker.domain import GreyRange, ReadInstance
from worker.errors import Reason, RejectedError
from worker.intake.decode import decode_frame
from worker.intake.display import Display, Showable
from worker.intake.elements import integer_of, quiet_pydicom, text_of
from worker.intake.facts import HeaderFacts, facts_of
from worker.intake.files import read_bounded
from worker.intake.frames import frame_datasets
from worker.intake.grey import GreyLevels, Histogram, levels_of
from worker.intake.headers import frame_headers
from worker.intake.limits import IntakeLimits
from worker.intake.parse import ParsedDicom, parse_dicom
from worker.intake.rescale import Rescale
from worker.intake.select import refuse
from worker.intake.voi import views_of

# An acquired slice has noise: even a scout of low signal shows two dozen values. Fewer are a mask or a label map.
_MIN_DISTINCT_VALUES = 8


def read_dicom(path: Path, sha256: str, limits: IntakeLimits, shown_by: GreyRange | None = None) -> ReadInstance:
    """Read an MR image, or all frames of an enhanced one.

    Every frame is decoded here once, so that what is accepted can be read. With `shown_by` an object of several frames
    has been accepted before: its frames are decoded when they are wanted, apart from the middle one.

    Args:
        path: a regular file, with or without preamble.
        sha256: its digest, stored in the header of the result.
        limits: bounds on what it may cost.
        shown_by: the range of the series, in place of the image's own window.

    Returns:
        Pixels in MONOCHROME2 sense: rescaled, then the first window or lookup table of the header that shows them
        (PS3.3 C.11.2.1), else the 0.5 to 99.5 percentile of non-zero pixels. All frames are shown by the window of the
        middle one. Non-square pixels are left as they are.

    Raises:
        RejectedError: with the first rule of `select.RULES` that applies, or `unreadable`, `truncated`, `too_large`,
            `blank`, `low_contrast`; `frame_pixels` of the result `unreadable` when a file was damaged since.
    """
    data = read_bounded(path, limits.max_file_bytes)
    with quiet_pydicom():
        parsed = parse_dicom(data, limits)
        facts = facts_of(parsed)
        refuse(facts, limits)
        opened = _OpenedDicom.of(parsed, facts)
        headers = frame_headers(parsed.dataset, facts, opened.frames, sha256)
        middle = opened.levels(len(headers) // 2)
        is_single = len(headers) == 1
        whole = cache(lambda: middle.histogram if is_single else opened.histogram())
        if is_single or shown_by is None:
            _refuse_empty(whole())
        display = opened.showable(middle.histogram, whole).display(shown_by)
        headers = tuple(replace(header, grey_range=display.grey_range) for header in headers)
        if is_single:
            return ReadInstance.of_one_slice(headers[0], middle.render(display.table), display.warning)
        return ReadInstance(headers, partial(opened.pixels, display), display.warning)


@dataclass(frozen=True)
class _OpenedDicom:
    """An accepted object whose frames are decoded when they are wanted.

    Attributes:
        frames: what the header says of each (`frames.frame_datasets`).
    """

    parsed: ParsedDicom
    facts: HeaderFacts
    frames: tuple[Dataset, ...]

    @classmethod
    def of(cls, parsed: ParsedDicom, facts: HeaderFacts) -> Self:
        """Open an object that passed `select.refuse`.

        Raises:
            RejectedError: `multiframe` for frames that are not scaled alike: no window shows them all.
        """
        frames = frame_datasets(parsed.dataset, facts.frames or 1)
        rescales = {Rescale.of(frame) for frame in frames}
        if len(rescales) > 1 or not all(rescale.is_usable for rescale in rescales):
            sentence = (
                "The frames are scaled differently, as if of several kinds, or not by usable numbers; "
                "export the series as classic MR images."
            )
            raise RejectedError(Reason.MULTIFRAME, sentence)
        return cls(parsed, facts, frames)

    def levels(self, index: int) -> GreyLevels:
        """Decode a frame, counted from 0."""
        return levels_of(decode_frame(self.parsed, self.facts, index))

    def histogram(self) -> Histogram:
        """Decode all frames and count their pixels."""
        return reduce(add, (self.levels(index).histogram for index in range(len(self.frames))))

    def showable(self, sample: Histogram, whole: Callable[[], Histogram]) -> Showable:
        """What is known about how to show it; `sample` is the histogram of the middle frame, `whole` counts all."""
        middle, dataset = self.frames[len(self.frames) // 2], self.parsed.dataset
        return Showable(
            rescale=Rescale.of(middle),
            views=views_of(dataset, middle),
            names_window=text_of(middle, "WindowWidth") is not None,
            is_inverted=self.facts.photometric == "MONOCHROME1",
            padding=integer_of(dataset, "PixelPaddingValue"),
            sample=sample,
            whole=whole,
        )

    def pixels(self, display: Display, number: int) -> GreyImage:
        """Decode and show a frame, counted from 1."""
        with quiet_pydicom():
            return self.levels(number - 1).render(display.table)


def read_header(path: Path, limits: IntakeLimits) -> Dataset:
    """Return the header of a DICOM file without its pixels; use it inside `quiet_pydicom`, values decode on access.

    Raises:
        RejectedError: `unreadable`, `truncated` or `too_large`.
    """
    data = read_bounded(path, limits.max_file_bytes)
    with quiet_pydicom():
        return parse_dicom(data, limits).dataset


def _refuse_empty(histogram: Histogram) -> None:
    """Refuse pictures without content.

    Raises:
        RejectedError: `blank` for (nearly) one value, `low_contrast` for too few values to be an acquired slice.
    """
    if histogram.spread() == 0:
        raise RejectedError(Reason.BLANK, "All pixels of the image have the same value; check the export.")
    if histogram.distinct() < _MIN_DISTINCT_VALUES:
        sentence = "The image has only a few grey values, like a mask and unlike a scan; send the original MR series."
        raise RejectedError(Reason.LOW_CONTRAST, sentence)
