"""The rules, one row each: this table, the refusals of `RULES`, and no rule without a row."""

import math
import re
from dataclasses import replace

import pytest
from pydicom import uid

from worker.errors import Reason, RejectedError
from worker.intake.facts import HeaderFacts
from worker.intake.kinds import spelt_alike
from worker.intake.limits import IntakeLimits
from worker.intake.parse import PixelState
from worker.intake.rescale import Rescale
from worker.intake.select import RULES, refuse

LIMITS = IntakeLimits()


def kinds(*image_types: str) -> dict[str, object]:
    """Each kind of frame as its ImageType would be written."""
    terms = (frozenset(map(spelt_alike, image_type.split("\\"))) for image_type in image_types)
    return {"kinds": frozenset(terms)}


def named(*words: str, **others: object) -> dict[str, object]:
    """The words of a series' name, which may name a part of the body too."""
    return {"series_words": frozenset(words), "part_words": frozenset(words), **others}


GOOD = HeaderFacts(
    is_directory=False,
    has_public_elements=True,
    sop_class=uid.MRImageStorage,
    modality="MR",
    transfer_syntax=uid.ExplicitVRLittleEndian,
    pixels=PixelState.NATIVE,
    pixel_bytes=128 * 128 * 2,
    uids=("1.2.1", "1.2.2", "1.2.3"),
    rows=128,
    columns=128,
    frames=1,
    samples=1,
    bits_allocated=16,
    bits_stored=12,
    pixel_representation=0,
    photometric="MONOCHROME2",
    rescale=Rescale(1.0, 0.0),
    kinds=frozenset({frozenset({"ORIGINAL", "PRIMARY", "M", "SE"})}),
    is_echo_planar=False,
    body_part="BRAIN",
    series_words=frozenset({"T", "AX"}),
    part_words=frozenset({"T", "AX"}),
)

SEVERAL_FRAMES = {"sop_class": uid.EnhancedMRImageStorage, "frames": 2, "pixel_bytes": 128 * 128 * 4}

REFUSED: list[tuple[Reason, dict[str, object]]] = [
    (Reason.NOT_AN_IMAGE, {"is_directory": True}),
    (Reason.NO_PIXELS, {"has_public_elements": False, "pixels": PixelState.ABSENT, "sop_class": None}),
    (Reason.UNREADABLE, {"pixels": PixelState.CUT, "sop_class": None, "modality": None}),
    (Reason.NOT_MR, {"modality": "CT"}),
    (Reason.NOT_MR, {"modality": "MR\\CT"}),
    (Reason.NOT_MR, {"sop_class": uid.CTImageStorage}),
    (Reason.NOT_MR, {"sop_class": uid.CTImageStorage, "modality": "CT", "pixels": PixelState.CUT}),
    (Reason.NOT_MR, {"sop_class": "1.2.3.4.5"}),
    (Reason.NOT_MR, {"sop_class": None, "modality": None}),
    (Reason.NOT_MR, {"sop_class": uid.BasicTextSRStorage, "modality": "SR", "pixels": PixelState.ABSENT}),
    (Reason.NOT_MR, {"sop_class": uid.SecondaryCaptureImageStorage, "modality": "OT"}),
    (Reason.DERIVED, {"sop_class": uid.SecondaryCaptureImageStorage}),
    (Reason.NO_PIXELS, {"pixels": PixelState.ABSENT, "pixel_bytes": 0}),
    (Reason.NO_PIXELS, {"pixels": PixelState.EMPTY, "pixel_bytes": 0}),
    (Reason.UNSUPPORTED_PIXELS, {"pixels": PixelState.FLOAT}),
    (Reason.TRUNCATED, {"pixels": PixelState.CUT}),
    (Reason.MISSING_UID, {"uids": ("1.2", None, "1.3")}),
    (Reason.BAD_UID, {"uids": ("1.2", "../x", "1.3")}),
    (Reason.BAD_UID, {"uids": ("1.2", "", "1.3")}),
    (Reason.BAD_HEADER, {"rows": 0}),
    (Reason.BAD_HEADER, {"columns": None}),
    (Reason.TOO_SMALL, {"rows": 63}),
    (Reason.TOO_LARGE, {"rows": 65535, "columns": 65535}),
    (Reason.TOO_LARGE, {"frames": 100_000}),
    (Reason.TOO_LARGE, {"frames": 4000, "rows": 1024, "columns": 1024}),
    (Reason.BAD_HEADER, {"frames": 0}),
    (Reason.BAD_HEADER, {"frames": None}),
    (Reason.UNSUPPORTED_SYNTAX, {"transfer_syntax": uid.MPEG2MPML}),
    (Reason.UNREADABLE, {"transfer_syntax": uid.JPEG2000Lossless}),
    (Reason.UNREADABLE, {"pixels": PixelState.ENCAPSULATED}),
    (Reason.UNSUPPORTED_PIXELS, {"photometric": "RGB"}),
    (Reason.UNSUPPORTED_PIXELS, {"photometric": "PALETTE COLOR"}),
    (Reason.UNSUPPORTED_PIXELS, {"photometric": None}),
    (Reason.BAD_HEADER, {"samples": 3}),
    (Reason.UNSUPPORTED_PIXELS, {"bits_allocated": 32}),
    (Reason.UNSUPPORTED_PIXELS, {"bits_allocated": 1}),
    (Reason.BAD_HEADER, {"bits_stored": 99}),
    (Reason.BAD_HEADER, {"pixel_representation": None}),
    (Reason.TRUNCATED, {"pixel_bytes": 128 * 128 * 2 - 2}),
    (Reason.BAD_HEADER, {"pixel_bytes": 128 * 128 * 4}),
    (Reason.BAD_HEADER, {"rescale": Rescale(math.nan, 0.0)}),
    (Reason.BAD_HEADER, {"rescale": Rescale(math.inf, 0.0)}),
    (Reason.BAD_HEADER, {"rescale": Rescale(0.0, 0.0)}),
    (Reason.BAD_HEADER, {"rescale": Rescale(1e308, 0.0)}),
    (Reason.BAD_HEADER, {"rescale": Rescale(1.0, math.nan)}),
    (Reason.MULTIFRAME, {"frames": 2, "pixel_bytes": 128 * 128 * 4}),
    (Reason.NOT_MR, {"sop_class": uid.MRSpectroscopyStorage, "pixels": PixelState.ABSENT}),
    # Siemens, United Imaging
    (Reason.MOSAIC, kinds(r"ORIGINAL\PRIMARY\M\ND\MOSAIC")),
    (Reason.MOSAIC, kinds(r"ORIGINAL\PRIMARY\FMRI\NONE\ND\NORM\MOSAIC")),
    (Reason.MOSAIC, kinds(r"ORIGINAL\PRIMARY\VFRAME\M")),
    (Reason.LOCALIZER, kinds(r"ORIGINAL\PRIMARY\LOCALIZER")),
    (Reason.LOCALIZER, named("LOCALIZER")),
    (Reason.LOCALIZER, named("AAHSCOUT", "MPR", "SAG")),
    (Reason.LOCALIZER, named("SURVEY", "SENSE")),
    (Reason.LOCALIZER, named("PLANE", "LOC", "SSFSE")),
    # phase: Siemens, Philips, enhanced
    (Reason.DERIVED, kinds(r"ORIGINAL\PRIMARY\P\ND")),
    (Reason.DERIVED, kinds(r"ORIGINAL\PRIMARY\PHASE MAP\P\FFE")),
    (Reason.DERIVED, kinds(r"ORIGINAL\PRIMARY\VELOCITY MAP\P\PCA")),
    (Reason.DERIVED, kinds(r"ORIGINAL\PRIMARY\M\NONE\PHASE")),
    (Reason.DERIVED, kinds(r"ORIGINAL\PRIMARY\I_SE\I\SE")),
    (Reason.DERIVED, kinds(r"ORIGINAL\PRIMARY\B0_MAP\B0\UNSPECIFIED")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\FLIP ANGLE MAP\ND")),
    # maps
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\DIFFUSION\ADC")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\DIFFUSION\TRACEW\ND\NORM")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\DIFFUSION\FA\ND\NORM")),
    (Reason.DERIVED, kinds(r"ORIGINAL\PRIMARY\ADC\ADC\SE")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\PERFUSION\RCBF")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\T1 MAP\ND")),
    (Reason.DERIVED, kinds(r"DERIVED\SECONDARY\FMRI\T_TEST")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\OTHER") | named("APPARENT", "DIFFUSION", "COEFFICIENT", "MM", "S")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\OTHER") | named("DWI", "ADC")),
    (Reason.DERIVED, named("EP", "D", "DIFF", "SCAN", "TRACE", "P", "TRACEW")),
    # projections
    (Reason.DERIVED, kinds(r"DERIVED\SECONDARY\PROJECTION IMAGE\CSA MIP\\CSAPARALLEL\M\ND\NORM")),
    (Reason.DERIVED, kinds(r"DERIVED\SECONDARY\PROJECTION IMAGE\MIP")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\MNIP\SWI\ND\NORM")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\MINIMUM\ND\NORM")),
    (Reason.DERIVED, kinds(r"DERIVED\PRIMARY\ANGIO\NONE\MAX_IP")),
    (Reason.DERIVED, kinds(r"DERIVED\SECONDARY\REFORMATTED") | named("TOF", "MIP", "ROT")),
    (Reason.DERIVED, kinds(r"DERIVED\SECONDARY\MPR\CURVED_MPR")),
    # masks and drawings
    (Reason.DERIVED, named("FLAIR", "ROI")),
    (Reason.DERIVED, kinds(r"DERIVED\SECONDARY\OTHER") | named("BRAIN", "MASK")),
    (Reason.DERIVED, kinds(r"DERIVED\CSAPARALLEL\POSDISP")),
    # several kinds in one object
    (Reason.MULTIFRAME, kinds(r"ORIGINAL\PRIMARY\T1\M", r"ORIGINAL\PRIMARY\T1\FIELD_MAP")),
    (Reason.MULTIFRAME, kinds(r"ORIGINAL\PRIMARY\T1\NONE\MAGNITUDE", r"ORIGINAL\PRIMARY\T1\NONE\PHASE")),
    # time series
    (Reason.SERIES_NOT_SELECTED, kinds(r"ORIGINAL\PRIMARY\FMRI\NONE\ND\NORM")),
    (Reason.SERIES_NOT_SELECTED, kinds(r"DERIVED\PRIMARY\PERFUSION\ND\MOCO")),
    (Reason.SERIES_NOT_SELECTED, kinds(r"ORIGINAL\PRIMARY\ASL\NONE")),
    (Reason.SERIES_NOT_SELECTED, named("EP", "D", "BOLD", "MOCO", is_echo_planar=True)),
    (Reason.MULTIFRAME, kinds(r"ORIGINAL\PRIMARY\PERFUSION\NONE") | SEVERAL_FRAMES),
    # other parts of the body
    (Reason.NOT_BRAIN, {"body_part": "KNEE"}),
    (Reason.NOT_BRAIN, named("T", "SAG", "LUMBAR", body_part=None)),
    (Reason.NOT_BRAIN, named("AX", "PROSTATE", body_part="UNKNOWN")),
    (
        Reason.NOT_BRAIN,
        named("SAG", "CSPINE", body_part="CSPINE") | {"part_words": frozenset({"BRAIN", "AND", "SAG", "CSPINE"})},
    ),
    (Reason.NOT_BRAIN, {"body_part": None, "part_words": frozenset({"MRT", "KNIE", "LINKS"})}),
]

READ: list[dict[str, object]] = [
    {},
    {"sop_class": None},
    {"modality": None},
    kinds(""),
    kinds(r"ORIGINAL\PRIMARY\M\ND\NORM"),
    kinds(r"ORIGINAL\PRIMARY\M\NORM\DIS2D\FM3\2\FIL"),
    kinds(r"ORIGINAL\PRIMARY\M_FFE\M\FFE"),
    kinds(r"ORIGINAL\PRIMARY\OTHER"),
    kinds(r"ORIGINAL\PRIMARY\R\ND"),
    kinds(r"ORIGINAL\PRIMARY\T1\NONE\MAGNITUDE"),
    kinds(r"ORIGINAL\PRIMARY\M\DIXON\WATER"),
    kinds(r"ORIGINAL\PRIMARY\M\DIXON\IN_PHASE", r"ORIGINAL\PRIMARY\M\DIXON\OPP_PHASE"),
    kinds(r"ORIGINAL\PRIMARY\DIFFUSION\NONE\ND\NORM"),
    kinds(r"DERIVED\PRIMARY\M\ND\UNI"),
    kinds(r"DERIVED\PRIMARY\MPR"),
    kinds(r"DERIVED\SECONDARY\MPR\CSA MPR\\CSAPARALLEL\M\ND\NORM"),
    kinds(r"DERIVED\SECONDARY\REFORMATTED\AVERAGE"),
    kinds(r"DERIVED\PRIMARY\T1\RESAMPLED\MPR"),
    kinds(r"DERIVED\SECONDARY"),
    # words that also mean something else
    named("AX", "T", "POST", "PERFUSION"),
    named("T", "FOR", "FMRI"),
    named("DWI", "ADC"),
    named("TOF", "FOR", "MIP"),
    named("GRE", "IN", "PHASE"),
    named("SURFACE", "COIL", "MAP"),
    kinds(r"DERIVED\SECONDARY\MPR") | named("T", "SPACE", "FA"),
    named("HAND", "MOTOR", "HIP", body_part=None),
    # a head that any of them names
    named("FEMORAL", "HEAD", "SHOULDER", body_part=None),
    {"body_part": "CSPINE", "part_words": frozenset({"SAG", "BRAIN", "SPINE"})},
    named("CERVICAL", body_part="HEADNECK"),
    SEVERAL_FRAMES,
    {"body_part": None},
    {"body_part": "HEADNECK"},
    {"pixel_bytes": 128 * 128 * 2 + 256},
    {"rescale": Rescale(-1.0, -4096.0)},
    {"transfer_syntax": uid.JPEG2000Lossless, "pixels": PixelState.ENCAPSULATED, "pixel_bytes": 900},
]


def facts(changes: dict[str, object]) -> HeaderFacts:
    return replace(GOOD, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("reason", "changes"), REFUSED)
def test_refused(reason: Reason, changes: dict[str, object]) -> None:
    with pytest.raises(RejectedError) as caught:
        refuse(facts(changes), LIMITS)
    assert caught.value.reason is reason


@pytest.mark.parametrize("changes", READ)
def test_read(changes: dict[str, object]) -> None:
    refuse(facts(changes), LIMITS)


def test_every_rule_decides_some_row() -> None:
    deciding = {next(rule for rule in RULES if rule.applies(facts(changes), LIMITS)) for _, changes in REFUSED}
    assert deciding == set(RULES)


def test_sentences_are_single_filled_and_say_what_to_do() -> None:
    for rule in RULES:
        sentence = rule.sentence.format(facts=GOOD, limits=LIMITS)
        assert sentence.endswith(".")
        assert "; " in sentence
        assert len(re.findall(r"[.!?](\s|$)", sentence)) == 1


def test_free_text_of_the_header_stays_out() -> None:
    secret = facts({"sop_class": "Mustermann^Max", "modality": "Mustermann", "body_part": "KNEE"})
    with pytest.raises(RejectedError, match="another kind") as caught:
        refuse(secret, LIMITS)
    assert "Muster" not in caught.value.sentence
