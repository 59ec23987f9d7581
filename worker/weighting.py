"""What a series shows bright: its weighting, from the times of its pulses and the words of its description."""

import re
from enum import StrEnum

from worker.domain import Acquisition


class Weighting(StrEnum):
    """In the order in which they are read first: what shows tumours best and what the model has seen most of."""

    T1_CONTRAST = "T1 with contrast"
    T1 = "T1"
    FLAIR = "FLAIR"
    T2 = "T2"
    OTHER = "other"


# Milliseconds at 1.5 and 3 T: fluid is nulled after 1.6 to 2.9 s, MPRAGE inverts for 0.3 to 1.3 s.
_FLUID_NULLED_FROM = 1500.0
_SHORT_ECHO, _SHORT_GRADIENT_ECHO, _LONG_ECHO = 30.0, 12.0, 60.0
_SHORT_REPETITION, _LONG_REPETITION = 1100.0, 1800.0

_OTHER_WORDS = re.compile(r"T2\s?\*|T2.?STAR|SWI|SWAN|DWI|DIFF|DTI|PERF|BOLD|FMRI|ASL|DSC|TOF")
_T1_WORDS = re.compile(r"(?<![A-Z0-9])T1|MP.?RAGE|BRAVO|SPGR")
_FLAIR_WORDS = re.compile(r"FLAIR|DARK.?FLUID|TIRM")
_T2_WORDS = re.compile(r"(?<![A-Z0-9])T2")
_CONTRAST_WORDS = re.compile(
    r"(?<![A-Z])(GD|GAD|GADO\w*|POST|CE|CONTRASTE?|INJECT\w*|KM|POST.?CON\w*)(?![A-Z])"
    r"|\+\s?(C|GD|K)(?![A-Z])|(?<![A-Z])C\s?\+|T1C(?![A-Z])"
)
_NO_CONTRAST_WORDS = re.compile(r"(?<![A-Z])(PRE|NON|NO|WITHOUT|W/O)(?![A-Z])")
# T1C says contrast and T1, so it goes before T1
_TELLING_WORDS = re.compile(
    "|".join(
        f"(?:{words.pattern})"
        for words in (_OTHER_WORDS, _CONTRAST_WORDS, _NO_CONTRAST_WORDS, _T1_WORDS, _FLAIR_WORDS, _T2_WORDS)
    )
)
_OPEN_ENDED = re.compile(r"(GADO|INJECT|POST.?CON)\w*")


def weighting_of(acquisition: Acquisition, description: str | None) -> Weighting:
    """The weighting of a slice.

    Words that name another kind of image, and those of FLAIR, which has the times of T2 where the inversion is not
    given, go before the times; the other words count where there are no times.

    Args:
        acquisition: of the slice.
        description: SeriesDescription.
    """
    words = (description or "").upper()
    if acquisition.is_echo_planar or _OTHER_WORDS.search(words):
        return Weighting.OTHER
    found = _fluid_nulled(words) or _by_times(acquisition) or _by_words(acquisition, words)
    if found is Weighting.T1 and (acquisition.has_contrast_agent or _names_contrast(words)):
        return Weighting.T1_CONTRAST
    return found


def telling_words(description: str | None) -> str | None:
    """Of a description the words that `weighting_of` looks for, and nothing else that may stand in it."""
    found = (match.group() for match in _TELLING_WORDS.finditer((description or "").upper()))
    return " ".join(_OPEN_ENDED.sub(r"\1", words) for words in found) or None


def _fluid_nulled(words: str) -> Weighting | None:
    """FLAIR by name, unless it is what one vendor calls T1 FLAIR, which nulls fluid in a T1 image."""
    return Weighting.FLAIR if _FLAIR_WORDS.search(words) and not _T1_WORDS.search(words) else None


def _by_times(acquisition: Acquisition) -> Weighting | None:
    """From echo, repetition and inversion time; `None` where they are not there or say neither T1 nor T2."""
    echo, repetition = acquisition.echo_time_ms, acquisition.repetition_time_ms
    inversion = acquisition.inversion_time_ms or 0.0
    if echo is None or repetition is None:
        return None
    if echo >= _LONG_ECHO and repetition >= _LONG_REPETITION:
        return Weighting.FLAIR if inversion >= _FLUID_NULLED_FROM else Weighting.T2
    short = _SHORT_GRADIENT_ECHO if acquisition.is_gradient_echo else _SHORT_ECHO
    if echo < short and (repetition < _SHORT_REPETITION or 0 < inversion < _FLUID_NULLED_FROM):
        return Weighting.T1
    return None


def _by_words(acquisition: Acquisition, words: str) -> Weighting:
    """From the description; a short echo of a series called T2 is its proton density."""
    if _T1_WORDS.search(words):
        return Weighting.T1
    echo = acquisition.echo_time_ms
    is_late = echo is None or echo >= _LONG_ECHO
    return Weighting.T2 if is_late and _T2_WORDS.search(words) else Weighting.OTHER


def _names_contrast(words: str) -> bool:
    return bool(_CONTRAST_WORDS.search(words)) and not _NO_CONTRAST_WORDS.search(words)
