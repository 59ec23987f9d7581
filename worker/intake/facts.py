"""What the rules of `select` look at: the header of one DICOM object as plain values."""

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.uid import UID, MediaStorageDirectoryStorage

from worker.intake.acquisition import is_echo_planar
from worker.intake.elements import integer_of, text_of, texts_of, uid_of
from worker.intake.kinds import kinds_of, spelt_alike
from worker.intake.parse import ParsedDicom, PixelState
from worker.intake.rescale import Rescale

_FILE_META_GROUP = 0x0002
_PIXEL_GROUP = 0x7FE0


@dataclass(frozen=True)
class HeaderFacts:
    """One object's header. Integers are `None` when absent or not an integer, text is upper case and stripped.

    Attributes:
        is_directory: a DICOMDIR (PS3.3 F).
        has_public_elements: any standard element apart from file meta and pixels.
        sop_class: SOPClassUID, `None` when absent.
        modality: Modality, `None` when absent or empty.
        transfer_syntax: of the file, inferred where file meta is missing.
        pixels: state of the pixel data element.
        pixel_bytes: length of its value as stored.
        uids: StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID as they stand; `None` absent, empty text damaged.
        frames: NumberOfFrames, 1 when absent.
        rescale: of the object as a whole; frames can have others.
        kinds: terms of each kind of frame (`kinds.kinds_of`); one kind of a classic image.
        is_echo_planar: whether ScanningSequence or EchoPlanarPulseSequence says so.
        body_part: letters and digits of BodyPartExamined.
        series_words: letters-only words of SeriesDescription, without one of ProtocolName.
        part_words: the same of whatever may name a part of the body: both, and StudyDescription.
    """

    is_directory: bool
    has_public_elements: bool
    sop_class: str | None
    modality: str | None
    transfer_syntax: str
    pixels: PixelState
    pixel_bytes: int
    uids: tuple[str | None, str | None, str | None]
    rows: int | None
    columns: int | None
    frames: int | None
    samples: int | None
    bits_allocated: int | None
    bits_stored: int | None
    pixel_representation: int | None
    photometric: str | None
    rescale: Rescale
    kinds: frozenset[frozenset[str]]
    is_echo_planar: bool
    body_part: str | None
    series_words: frozenset[str]
    part_words: frozenset[str]

    @property
    def object_name(self) -> str:
        """What the object is, from the standard's own list of SOP classes and never from free text."""
        name = UID(self.sop_class or "", validation_mode=IGNORE).name  # validation would log what is no UID
        known = name != (self.sop_class or "")
        return f"an object of the class {name}" if known else "a DICOM object of another kind"

    @property
    def area(self) -> int:
        """Rows times columns, 0 when either is missing."""
        return (self.rows or 0) * (self.columns or 0)

    @property
    def frame_bytes(self) -> int:
        """Bytes one native frame takes (PS3.5 8.1.1)."""
        return self.area * (self.samples or 1) * (self.bits_allocated or 0) // 8


def facts_of(parsed: ParsedDicom) -> HeaderFacts:
    """Collect the facts of a parsed header; damaged values become `None` or NaN, nothing is raised."""
    dataset = parsed.dataset
    modality = texts_of(dataset, "Modality")
    series, protocol, study = (
        _words(text_of(dataset, keyword)) for keyword in ("SeriesDescription", "ProtocolName", "StudyDescription")
    )
    return HeaderFacts(
        is_directory=_is_directory(dataset),
        has_public_elements=any(_is_public(tag) for tag in dataset.keys()),  # noqa: SIM118  iterating decodes values
        sop_class=uid_of(dataset, "SOPClassUID"),
        modality="\\".join(modality) or None,
        transfer_syntax=parsed.transfer_syntax,
        pixels=parsed.pixels.state,
        pixel_bytes=len(parsed.pixels.value),
        uids=(
            uid_of(dataset, "StudyInstanceUID"),
            uid_of(dataset, "SeriesInstanceUID"),
            uid_of(dataset, "SOPInstanceUID"),
        ),
        rows=integer_of(dataset, "Rows"),
        columns=integer_of(dataset, "Columns"),
        frames=integer_of(dataset, "NumberOfFrames", absent=1),
        samples=integer_of(dataset, "SamplesPerPixel"),
        bits_allocated=integer_of(dataset, "BitsAllocated"),
        bits_stored=integer_of(dataset, "BitsStored"),
        pixel_representation=integer_of(dataset, "PixelRepresentation"),
        photometric="\\".join(texts_of(dataset, "PhotometricInterpretation")) or None,
        rescale=Rescale.of(dataset),
        kinds=kinds_of(dataset),
        is_echo_planar=is_echo_planar(dataset),
        body_part=spelt_alike("".join(texts_of(dataset, "BodyPartExamined"))) or None,
        series_words=series or protocol,
        part_words=series | protocol | study,
    )


def _is_directory(dataset: Dataset) -> bool:
    """Whether this is a DICOMDIR, which a file meta without its class hides."""
    named = uid_of(dataset.file_meta, "MediaStorageSOPClassUID")
    return named == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in dataset


def _is_public(tag: int) -> bool:
    """Whether a tag belongs to the standard (even group, PS3.5 7.1) and is neither file meta nor pixels."""
    group = tag >> 16
    return group % 2 == 0 and group not in {_FILE_META_GROUP, _PIXEL_GROUP}


def _words(text: str | None) -> frozenset[str]:
    """Return the upper-case words of a description; everything but letters parts them."""
    return frozenset("".join(char if char.isalpha() else " " for char in (text or "").upper()).split())
