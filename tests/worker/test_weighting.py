"""Weightings as scanners of several vendors write them."""

import pytest

from worker.domain import Acquisition
from worker.weighting import Weighting, telling_words, weighting_of


@pytest.mark.parametrize(
    ("echo", "repetition", "inversion", "gradient", "description", "weighting"),
    [
        (10.0, 500.0, None, False, None, Weighting.T1),
        (2.3, 2300.0, 900.0, True, None, Weighting.T1),
        (3.2, 8.0, 450.0, True, "Ax 3D BRAVO", Weighting.T1),
        (10.0, 500.0, None, False, "T1 SE +C", Weighting.T1_CONTRAST),
        (2.3, 2300.0, 900.0, True, "t1_mprage_sag_p2_iso_KM", Weighting.T1_CONTRAST),
        (10.0, 500.0, None, False, "AX T1 POST GAD", Weighting.T1_CONTRAST),
        (10.0, 500.0, None, False, "AX T1 PRE GAD", Weighting.T1),
        (10.0, 500.0, None, False, "T1 spine protocol", Weighting.T1),
        (100.0, 4500.0, None, False, None, Weighting.T2),
        (125.0, 9000.0, 2500.0, False, None, Weighting.FLAIR),
        (125.0, 11000.0, None, False, "FLAIR_longTR", Weighting.FLAIR),
        (8.0, 2000.0, 750.0, False, "Sag T1 FLAIR", Weighting.T1),
        (14.0, 3000.0, None, False, None, Weighting.OTHER),
        (14.0, 3000.0, None, False, "PD/T2 TSE", Weighting.OTHER),
        (90.0, 3000.0, None, False, "PD/T2 TSE", Weighting.T2),
        (90.0, 1400.0, None, False, "T2 HASTE", Weighting.T2),
        (10.0, 1200.0, None, False, "T1 SE", Weighting.T1),
        (8.0, 2000.0, None, False, "AX T1 FLAIR", Weighting.T1),
        (2.3, 2300.0, None, True, "MPRAGE", Weighting.T1),
        (10.0, 500.0, None, False, "T1 C+", Weighting.T1_CONTRAST),
        (10.0, 500.0, None, False, "T1 injecté", Weighting.T1_CONTRAST),
        (10.0, 500.0, None, False, "T1 con contraste", Weighting.T1_CONTRAST),
        (20.0, 600.0, None, True, None, Weighting.OTHER),
        (25.0, 750.0, None, True, "T2*_FL2D", Weighting.OTHER),
        (90.0, 6000.0, None, False, "ep2d_DIFF_3scan", Weighting.OTHER),
        (None, None, None, False, "T2W_TSE tra", Weighting.T2),
        (None, None, None, False, "ADNI MP-RAGE", Weighting.T1),
        (None, None, None, False, "Series", Weighting.OTHER),
        (None, None, None, False, None, Weighting.OTHER),
    ],
)
def test_times_and_words(
    echo: float | None,
    repetition: float | None,
    inversion: float | None,
    gradient: bool,
    description: str | None,
    weighting: Weighting,
) -> None:
    acquisition = Acquisition(echo, repetition, inversion, gradient)
    assert weighting_of(acquisition, description) is weighting
    assert weighting_of(acquisition, telling_words(description)) is weighting


@pytest.mark.parametrize(
    ("description", "kept"),
    [
        ("AX T1 Anna Muster +C", "T1 +C"),
        ("T1C", "T1C"),
        ("gadoMuster_Anna", "GADO"),
        ("T1 injectMuster_4711", "T1 INJECT"),
        ("post conMuster T1", "POST T1"),
        ("Anna Muster 1961", None),
        ("", None),
        (None, None),
    ],
)
def test_of_a_description_only_the_telling_words_are_kept(description: str | None, kept: str | None) -> None:
    assert telling_words(description) == kept


def test_a_named_agent_makes_t1_a_contrast_image_and_nothing_else() -> None:
    def found(echo: float, repetition: float) -> Weighting:
        return weighting_of(Acquisition(echo, repetition, has_contrast_agent=True), None)

    assert (found(10.0, 500.0), found(100.0, 4500.0)) == (Weighting.T1_CONTRAST, Weighting.T2)


def test_echo_planar_images_are_no_anatomy() -> None:
    assert weighting_of(Acquisition(90.0, 6000.0, is_echo_planar=True), "T2") is Weighting.OTHER
