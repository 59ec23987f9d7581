"""The modality transform (PS3.3 C.11.1)."""

import math

import numpy as np
import pytest
from pydicom import Dataset

from worker.intake.rescale import Rescale


def test_absent_is_identity() -> None:
    assert Rescale.of(Dataset()) == Rescale(1.0, 0.0)
    assert Rescale(2.0, -5.0).applied_to(np.array([0.0, 10.0])).tolist() == [-5.0, 15.0]


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [
        (1.0, 0.0, True),
        (-0.25, 1000.0, True),
        (5e-324, 0.0, True),
        (1e-6, 1000.0, True),
        (1e-20, 1000.0, False),
        (0.0, 0.0, False),
        (math.nan, 0.0, False),
        (1.0, math.inf, False),
        (1e12, 0.0, False),
    ],
)
def test_a_usable_slope_keeps_grey_values_apart(slope: float, intercept: float, expected: bool) -> None:
    rescale = Rescale(slope, intercept)
    assert rescale.is_usable is expected
    if expected:
        assert np.all(np.diff(rescale.applied_to(np.arange(5.0))) != 0)
