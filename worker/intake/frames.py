"""The frames of an enhanced MR object as if each were a classic image: what its functional groups say (PS3.3 C.7.6.16).

A functional group is shared by all frames or stands with each; one that stands with the frame wins.
"""

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from worker.intake.elements import items_of

_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"

# Macro -> the elements that it holds, many of them those of a classic MR image (PS3.3 C.7.6.16.2, C.8.13.5)
_MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "MREchoSequence": ("EffectiveEchoTime",),
    "MRTimingAndRelatedParametersSequence": ("RepetitionTime",),
    "MRModifierSequence": ("InversionTimes",),
    "MRDiffusionSequence": ("DiffusionBValue",),
    "MRImageFrameTypeSequence": ("FrameType",),
    "FrameContentSequence": ("TemporalPositionIndex", "FrameAcquisitionNumber"),
}
_KEYWORDS = tuple(keyword for keywords in _MACROS.values() for keyword in keywords)

_Elements = dict[BaseTag, DataElement | RawDataElement]


def frame_datasets(dataset: Dataset, frames: int) -> tuple[Dataset, ...]:
    """Return where each frame lies, its rescale, its windows and how it was acquired, without their macros.

    A frame without a group of its own has what is shared, and where nothing is, what the object says as a whole.
    Sequences that are damaged count as missing; a classic image says all of it as a whole.
    """
    shared = {**_found(dataset, _KEYWORDS), **_of_groups(items_of(dataset, _SHARED)[:1])}
    per_frame = items_of(dataset, _PER_FRAME)
    return tuple(_flat({**shared, **_of_groups(per_frame[number : number + 1])}) for number in range(frames))


def _of_groups(groups: list[Dataset]) -> _Elements:
    """Return the elements of every macro in an item of functional groups; nothing of no item."""
    return {
        tag: element
        for group in groups
        for macro, keywords in _MACROS.items()
        for item in items_of(group, macro)[:1]
        for tag, element in _found(item, keywords).items()
    }


def _found(dataset: Dataset, keywords: tuple[str, ...]) -> _Elements:
    """Return the elements as they stand: damaged ones are for the reader of a value to judge."""
    tags = [Tag(keyword) for keyword in keywords]
    return {tag: dataset.get_item(tag) for tag in tags if tag in dataset}


def _flat(elements: _Elements) -> Dataset:
    flat = Dataset()
    for tag, element in elements.items():
        flat[tag] = element
    return flat
