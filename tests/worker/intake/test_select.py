"""The rules, one row each: this table, the refusals of `RULES`, and no rule without a row."""

import math
import re
from dataclasses import replace

import pytest
from pydicom import uid

from worker.errors import Reason, RejectedError
from worker.intake.facts import HeaderFacts
from worker.intake.limits import IntakeLimits
from worker.intake.parse import PixelState
from worker.intake.rescale import Rescale
from worker.intake.select import RULES, refuse

LIMITS = IntakeLimits()
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
    image_type=("ORIGINAL", "PRIMARY", "M", "SE"),
    body_part="BRAIN",
    series_words=frozenset({"T", "AX"}),
)

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
    (Reason.MOSAIC, {"image_type": ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")}),
    (Reason.LOCALIZER, {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}),
    (Reason.DERIVED, {"image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")}),
    (Reason.DERIVED, {"image_type": ("ORIGINAL", "PRIMARY", "P")}),
    (Reason.DERIVED, {"image_type": ("DERIVED", "SECONDARY", "PHASE MAP")}),
    (Reason.DERIVED, {"series_words": frozenset({"FLAIR", "ROI"})}),
    (Reason.NOT_BRAIN, {"body_part": "KNEE"}),
]

READ: list[dict[str, object]] = [
    {},
    {"sop_class": None},
    {"modality": None},
    {"image_type": ()},
    {"image_type": ("DERIVED", "SECONDARY", "MPR")},
    {"image_type": ("DERIVED", "SECONDARY")},
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
