"""What is read and what is left out, by header: one table, checked from top to bottom, the first that applies decides.

Order is meaning: first what the object is, then whether its pixels are there, its identity, whether they can be
decoded, and last whether the picture is one the model was made for. A sentence says what is wrong and what to do; it
may name classes and numbers of the header, never its free text.
"""

from collections.abc import Callable
from dataclasses import dataclass

from worker.errors import Reason, RejectedError
from worker.intake.elements import is_valid_uid
from worker.intake.facts import HeaderFacts
from worker.intake.limits import IntakeLimits
from worker.intake.parse import PixelState
from worker.intake.vocabulary import (
    COMPUTED_TERMS,
    COMPUTED_WORDS,
    DECODING_PLUGINS,
    DERIVED_WORDS,
    ENHANCED_MR_CLASSES,
    GREYSCALE,
    HEAD_WORDS,
    LOCALIZER_TERMS,
    LOCALIZER_WORDS,
    MOSAIC_TERMS,
    MR_IMAGE_CLASSES,
    OTHER_BODY_PARTS,
    OTHER_PART_WORDS,
    PLANE_LOCALIZER,
    SECONDARY_CAPTURE,
    TIME_SERIES_TERMS,
    TIME_SERIES_WORDS,
)


@dataclass(frozen=True)
class Rule:
    """One reason to refuse an object.

    Attributes:
        reason: stable slug.
        applies: whether it does, from header facts alone.
        sentence: for the user; `{facts.…}` and `{limits.…}` are filled in.
    """

    reason: Reason
    applies: Callable[[HeaderFacts, IntakeLimits], bool]
    sentence: str


def refuse(facts: HeaderFacts, limits: IntakeLimits) -> None:
    """Raise the first rule of `RULES` that applies.

    Raises:
        RejectedError: with that rule's reason and sentence.
    """
    for rule in RULES:
        if rule.applies(facts, limits):
            raise RejectedError(rule.reason, rule.sentence.format(facts=facts, limits=limits))


def _is_secondary_capture(facts: HeaderFacts, _limits: IntakeLimits) -> bool:
    """Screenshots and annotated copies stored under Modality MR."""
    return (facts.sop_class or "").startswith(SECONDARY_CAPTURE) and facts.modality == "MR"


def _is_not_mr(facts: HeaderFacts, limits: IntakeLimits) -> bool:
    """The SOP class decides and Modality must not contradict it; without a class Modality must say MR."""
    if not facts.sop_class:
        return facts.modality != "MR"
    if facts.sop_class in MR_IMAGE_CLASSES:
        return facts.modality not in {None, "MR"}
    return not _is_secondary_capture(facts, limits)


def _has_bad_bits(facts: HeaderFacts, _limits: IntakeLimits) -> bool:
    """Bits stored within bits allocated, sign 0 or 1 (PS3.3 C.7.6.3.1, PS3.5 8.1.1)."""
    stored_fits = 1 <= (facts.bits_stored or 0) <= (facts.bits_allocated or 0)
    return not stored_fits or facts.pixel_representation not in {0, 1}


def _is_too_large(facts: HeaderFacts, limits: IntakeLimits) -> bool:
    """One picture, their number, or all of them at two bytes a pixel: a small compressed file can claim anything."""
    frames = facts.frames or 0
    return (
        facts.area > limits.max_pixels or frames > limits.max_frames or 2 * facts.area * frames > limits.max_file_bytes
    )


def _is_unsorted(facts: HeaderFacts, _limits: IntakeLimits) -> bool:
    """Several frames in an object whose class has one (PS3.3 A.4, MR Image)."""
    return (facts.frames or 1) > 1 and facts.sop_class not in ENHANCED_MR_CLASSES


def _is_native(facts: HeaderFacts) -> bool:
    """Whether the transfer syntax stores plain pixels."""
    return DECODING_PLUGINS.get(facts.transfer_syntax) == ""


def _is_computed(kind: frozenset[str], words: frozenset[str]) -> bool:
    """A computed map, mask or projection: by its terms, or by the name of its series where that means nothing else."""
    return (
        not COMPUTED_TERMS.isdisjoint(kind)
        or not COMPUTED_WORDS.isdisjoint(words)
        or ("DERIVED" in kind and not DERIVED_WORDS.isdisjoint(words))
    )


def _computed_kinds(facts: HeaderFacts) -> set[frozenset[str]]:
    return {kind for kind in facts.kinds if _is_computed(kind, facts.series_words)}


def _is_time_series(facts: HeaderFacts) -> bool:
    """One of many pictures of the same place: by its terms, or by name where the readout is that of such series."""
    named = facts.is_echo_planar and not TIME_SERIES_WORDS.isdisjoint(facts.series_words)
    return named or _has_term(facts, TIME_SERIES_TERMS)


def _is_localizer(facts: HeaderFacts, _limits: IntakeLimits) -> bool:
    """A planning scan, by its terms or by name."""
    words = facts.series_words
    return _has_term(facts, LOCALIZER_TERMS) or not LOCALIZER_WORDS.isdisjoint(words) or words >= PLANE_LOCALIZER


def _has_term(facts: HeaderFacts, terms: frozenset[str]) -> bool:
    return any(not terms.isdisjoint(kind) for kind in facts.kinds)


def _is_other_part(facts: HeaderFacts, _limits: IntakeLimits) -> bool:
    """BodyPartExamined goes before descriptions, and a head that any of them names before both.

    A wrong body part is common, and what is no brain after all goes to a person by its content. Only the description of
    a whole study that names a head, of a series that twice names another part, is that of an examination of both.
    """
    names_other = facts.body_part in OTHER_BODY_PARTS and not OTHER_PART_WORDS.isdisjoint(facts.series_words)
    if names_other and HEAD_WORDS.isdisjoint(facts.series_words):
        return True
    if not HEAD_WORDS.isdisjoint(facts.part_words) or facts.body_part in HEAD_WORDS:
        return False
    return facts.body_part in OTHER_BODY_PARTS or not OTHER_PART_WORDS.isdisjoint(facts.part_words)


RULES: tuple[Rule, ...] = (
    Rule(
        Reason.NOT_AN_IMAGE,
        lambda facts, _: facts.is_directory,
        "A DICOMDIR is a table of contents without images; send the image files it lists.",
    ),
    Rule(
        Reason.NO_PIXELS,
        lambda facts, _: not facts.has_public_elements and facts.pixels is PixelState.ABSENT,
        "This DICOM file holds neither an image nor a description of one; send the MR image series.",
    ),
    Rule(
        Reason.UNREADABLE,
        lambda facts, _: facts.pixels is PixelState.CUT and not facts.sop_class and not facts.modality,
        "The DICOM header breaks off before it says what the object is; send the file again.",
    ),
    Rule(
        Reason.NOT_MR,
        lambda facts, _: facts.sop_class in MR_IMAGE_CLASSES and facts.modality not in {None, "MR"},
        "The header has the class of an MR image and names another modality; correct it where it was exported.",
    ),
    Rule(
        Reason.NOT_MR,
        _is_not_mr,
        "This is not an MR image but {facts.object_name}; send the MR image series of the brain.",
    ),
    Rule(
        Reason.DERIVED,
        _is_secondary_capture,
        "This is {facts.object_name}, a screenshot and not an acquired slice; send the original MR series.",
    ),
    Rule(
        Reason.NO_PIXELS,
        lambda facts, _: facts.pixels in {PixelState.ABSENT, PixelState.EMPTY},
        "The DICOM object has a header and no pixels; send the image itself.",
    ),
    Rule(
        Reason.UNSUPPORTED_PIXELS,
        lambda facts, _: facts.pixels is PixelState.FLOAT,
        "The pixels are floating-point numbers, which only computed maps have; send the acquired MR series.",
    ),
    Rule(
        Reason.TRUNCATED,
        lambda facts, _: facts.pixels is PixelState.CUT,
        "The file ends before or in the middle of its pixels; its transfer was probably cut short, so send it again.",
    ),
    Rule(
        Reason.MISSING_UID,
        lambda facts, _: None in facts.uids,
        "StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID is missing; export the image again with them.",
    ),
    Rule(
        Reason.BAD_UID,
        lambda facts, _: not all(is_valid_uid(value or "") for value in facts.uids),
        "A study, series or SOP instance UID has other characters than digits and dots or more than 64; "
        "export the image again.",
    ),
    Rule(
        Reason.BAD_HEADER,
        lambda facts, _: (facts.rows or 0) < 1 or (facts.columns or 0) < 1,
        "Rows or Columns is missing or not a positive number; export the image again.",
    ),
    Rule(
        Reason.TOO_SMALL,
        lambda facts, limits: min(facts.rows or 0, facts.columns or 0) < limits.min_side_px,
        "The image has {facts.columns} × {facts.rows} pixels and needs at least {limits.min_side_px} on each side; "
        "send the full-size image.",
    ),
    Rule(
        Reason.TOO_LARGE,
        _is_too_large,
        "The header claims {facts.columns} × {facts.rows} pixels and {facts.frames} frames, more than an MR image has; "
        "check the export.",
    ),
    Rule(
        Reason.BAD_HEADER,
        lambda facts, _: (facts.frames or 0) < 1,
        "NumberOfFrames is not a positive number; export the image again.",
    ),
    Rule(
        Reason.UNSUPPORTED_SYNTAX,
        lambda facts, _: facts.transfer_syntax not in DECODING_PLUGINS,
        "The pixels are compressed in a way that is not supported here; export the image uncompressed.",
    ),
    Rule(
        Reason.UNREADABLE,
        lambda facts, _: _is_native(facts) != (facts.pixels is PixelState.NATIVE),
        "The pixels are not stored the way the transfer syntax says; export the image again.",
    ),
    Rule(
        Reason.UNSUPPORTED_PIXELS,
        lambda facts, _: facts.photometric not in GREYSCALE,
        "The image is in colour, a palette or an unknown colour space; send the greyscale MR series.",
    ),
    Rule(
        Reason.BAD_HEADER,
        lambda facts, _: facts.samples != 1,
        "A greyscale image must have one sample per pixel and the header says otherwise; export the image again.",
    ),
    Rule(
        Reason.UNSUPPORTED_PIXELS,
        lambda facts, _: facts.bits_allocated not in {8, 16},
        "Pixels of 8 or 16 bits are read and the header names another size; export the image with 16 bits.",
    ),
    Rule(
        Reason.BAD_HEADER,
        _has_bad_bits,
        "BitsStored or PixelRepresentation contradicts the pixel size; export the image again.",
    ),
    Rule(
        Reason.TRUNCATED,
        lambda facts, _: _is_native(facts) and facts.pixel_bytes < facts.frame_bytes * (facts.frames or 1),
        "The file holds fewer pixels than its header says; its transfer was probably cut short, so send it again.",
    ),
    Rule(
        Reason.BAD_HEADER,
        lambda facts, _: _is_native(facts) and facts.pixel_bytes >= facts.frame_bytes * ((facts.frames or 1) + 1),
        "The file holds at least one frame more than its header says, so its size is not certain; export it again.",
    ),
    Rule(
        Reason.BAD_HEADER,
        lambda facts, _: not facts.rescale.is_usable,
        "RescaleSlope or RescaleIntercept is not a usable number; export the image again.",
    ),
    Rule(
        Reason.MULTIFRAME,
        _is_unsorted,
        "The file holds {facts.frames} frames without saying where each lies; export the series as enhanced or classic "
        "MR images.",
    ),
    Rule(
        Reason.MOSAIC,
        lambda facts, _: _has_term(facts, MOSAIC_TERMS),
        "This is a mosaic of many slices in one picture; send the slices as single images.",
    ),
    Rule(
        Reason.LOCALIZER,
        _is_localizer,
        "This is a localizer for planning; send the diagnostic series.",
    ),
    Rule(
        Reason.MULTIFRAME,
        lambda facts, _: 0 < len(_computed_kinds(facts)) < len(facts.kinds),
        "The file holds slices together with maps, phase or projections of them; export them as series of their own.",
    ),
    Rule(
        Reason.DERIVED,
        lambda facts, _: bool(_computed_kinds(facts)),
        "This is a computed map, phase, mask or projection and not an acquired slice; send the original MR series.",
    ),
    Rule(
        Reason.MULTIFRAME,
        lambda facts, _: (facts.frames or 1) > 1 and _is_time_series(facts),
        "The frames are of a perfusion or functional time series; send the anatomical series.",
    ),
    Rule(
        Reason.SERIES_NOT_SELECTED,
        lambda facts, _: _is_time_series(facts),
        "This is one picture of a perfusion or functional time series; send the anatomical series.",
    ),
    Rule(
        Reason.NOT_BRAIN,
        _is_other_part,
        "The header names a body part other than the head; send a series of the brain.",
    ),
)
