"""The modality transform: from stored values to the units that windows speak of (PS3.3 C.11.1)."""

import math
from dataclasses import dataclass
from typing import Self

from pydicom import Dataset

from worker.intake.elements import number_of
from worker.intake.grey import FloatVector

# MR intensities have no unit, so that any scale is legal; above this bound they are a damaged header and not a scale.
_MAX_RESCALE = 1e9
# Of the 52 bits of a double 12 are left to tell grey values apart: a slope smaller than this share of the intercept
# is lost in it.
_LEAST_SHARE = 2.0**-40


@dataclass(frozen=True)
class Rescale:
    """Modality transform of stored values (PS3.3 C.11.1)."""

    slope: float
    intercept: float

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Read it; 1 and 0 where absent, NaN where it is not a number."""
        return cls(number_of(dataset, "RescaleSlope", absent=1.0), number_of(dataset, "RescaleIntercept", absent=0.0))

    @property
    def is_usable(self) -> bool:
        """Slope finite, not zero; both of a size that keeps grey values apart (C.11.1.1.2)."""
        return (
            math.isfinite(self.slope)
            and 0 < abs(self.slope) < _MAX_RESCALE
            and abs(self.intercept) < _MAX_RESCALE
            and abs(self.slope) > _LEAST_SHARE * abs(self.intercept)
        )

    def applied_to(self, stored: FloatVector) -> FloatVector:
        """Rescale `(n,)` stored values."""
        return stored * self.slope + self.intercept
