"""How a slice was acquired: what tells weightings, echoes and time points apart (PS3.3 C.8.3.1, C.8.13.5)."""

import math

from pydicom import Dataset

from worker.domain import Acquisition
from worker.intake.elements import integer_of, number_of, numbers_of, text_of, texts_of

_NO_AGENT = frozenset({"NO", "NONE", "N", "0", "WITHOUT"})


def acquisition_of(dataset: Dataset, frame: Dataset) -> Acquisition:
    """Return what the header says; damaged values are left out.

    Args:
        dataset: the object's header.
        frame: of one frame (`frames.frame_datasets`); what it says goes before the object.
    """
    inversion = numbers_of(frame, "InversionTimes") or ()
    return Acquisition(
        echo_time_ms=_positive(frame, "EffectiveEchoTime") or _positive(dataset, "EchoTime"),
        repetition_time_ms=_positive(frame, "RepetitionTime"),
        inversion_time_ms=next(iter(inversion), None) or _positive(dataset, "InversionTime"),
        is_gradient_echo=_says(dataset, "ScanningSequence", "GR")
        or _says(dataset, "EchoPulseSequence", "GRADIENT", "BOTH"),
        is_echo_planar=is_echo_planar(dataset),
        has_contrast_agent=_has_contrast_agent(dataset),
        b_value=_b_value(frame, dataset),
        image_type=(texts_of(frame, "FrameType") or texts_of(dataset, "ImageType"))[2:],
        time_point=integer_of(frame, "TemporalPositionIndex") or integer_of(dataset, "TemporalPositionIdentifier"),
        number=integer_of(frame, "FrameAcquisitionNumber") or integer_of(dataset, "AcquisitionNumber"),
    )


def is_echo_planar(dataset: Dataset) -> bool:
    """Whether the readout is echo-planar, as of diffusion, perfusion and functional scans."""
    return _says(dataset, "ScanningSequence", "EP") or _says(dataset, "EchoPlanarPulseSequence", "YES")


def _positive(dataset: Dataset, keyword: str) -> float | None:
    number = number_of(dataset, keyword)
    return number if math.isfinite(number) and number > 0 else None


def _b_value(*places: Dataset) -> float | None:
    """The first b-value given, which may be zero."""
    numbers = (number_of(place, "DiffusionBValue") for place in places)
    return next((number for number in numbers if math.isfinite(number)), None)


def _says(dataset: Dataset, keyword: str, *terms: str) -> bool:
    return not set(terms).isdisjoint(texts_of(dataset, keyword))


def _has_contrast_agent(dataset: Dataset) -> bool:
    agent = text_of(dataset, "ContrastBolusAgent")
    return "ContrastBolusAgentSequence" in dataset or (agent is not None and agent.upper() not in _NO_AGENT)
