"""What kind of picture each frame is: the terms of ImageType and of all that refines it, spelt alike."""

from collections.abc import Iterator

from pydicom import Dataset

from worker.intake.elements import items_of, private_integer, texts_of

# ImageType of an object and FrameType of a frame mean the same (PS3.3 C.8.16.1), the others refine them: C.8.13.3.1.1,
# C.8.13.3.1.2, C.8.16.2.1.3. VolumetricProperties (C.8.16.2.1.2) is left out: SAMPLED says no more than the technique,
# and acquired images that were not distortion-corrected are found that say DISTORTED.
_KEYWORDS = (
    "ImageType",
    "FrameType",
    "ComplexImageComponent",
    "AcquisitionContrast",
    "VolumeBasedCalculationTechnique",
)

# Vendor block and element -> value -> the term for it
_VENDOR_TERMS = {
    (0x0043, "GEMS_PARM_01", 0x2F): {1: "PHASE", 3: "IMAGINARY"},  # image type; 0 magnitude, 2 real
    (0x0019, "GEMS_ACQU_01", 0x17): {256: "LOCALIZER"},  # series plane; 2 to 16 single planes, 256 three in one
}
# How many slices lie in one picture: what is left of a mosaic when its ImageType was rewritten
_SLICES_IN_PICTURE = (
    (0x0019, "SIEMENS MR HEADER", 0x0A),
    (0x0065, "Image Private Header", 0x50),  # United Imaging, with VFRAME in ImageType
)


def kinds_of(dataset: Dataset) -> frozenset[frozenset[str]]:
    """Return the different kinds of frame in an object, each as its terms; a classic image has one.

    Of a term capital letters and digits are kept: `PHASE MAP` and `PHASE_MAP` are both `PHASEMAP`. What the object says
    as a whole holds for every frame; where its frames differ it says MIXED.
    """
    whole = frozenset([*_terms(dataset), *_vendor_terms(dataset)])
    shared = _frame_terms(items_of(dataset, "SharedFunctionalGroupsSequence"))
    per_frame = items_of(dataset, "PerFrameFunctionalGroupsSequence")
    kinds = {_frame_terms([groups]) or shared for groups in per_frame} or {shared}
    return frozenset(whole | kind for kind in kinds)


def spelt_alike(text: str) -> str:
    """Keep the letters and digits of a term, in capitals."""
    return "".join(char for char in text.upper() if char.isalnum())


def _frame_terms(groups: list[Dataset]) -> frozenset[str]:
    """The terms of MR Image Frame Type (C.8.13.5.1) in the first item of functional groups."""
    return frozenset(
        term
        for group in groups[:1]
        for item in items_of(group, "MRImageFrameTypeSequence")[:1]
        for term in _terms(item)
    )


def _terms(dataset: Dataset) -> Iterator[str]:
    return (spelt_alike(text) for keyword in _KEYWORDS for text in texts_of(dataset, keyword))


def _vendor_terms(dataset: Dataset) -> Iterator[str]:
    for block, terms in _VENDOR_TERMS.items():
        value = private_integer(dataset, *block)
        if value in terms:
            yield terms[value]
    if any((private_integer(dataset, *block) or 0) > 1 for block in _SLICES_IN_PICTURE):
        yield "MOSAIC"
