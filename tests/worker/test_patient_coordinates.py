"""Boxes in millimetres of the patient."""

import pytest

from tests.worker.filing import AXIAL
from worker.domain import PixelGeometry
from worker.patient_coordinates import corners_mm

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def test_the_first_pixel_is_centred_at_its_position() -> None:
    geometry = PixelGeometry(80, 90, (0.5, 0.25), (10.0, 20.0, 30.0), AXIAL)
    corners = corners_mm(geometry, (0.0, 0.0, 1.0, 1.0))
    wanted = [(9.875, 19.75, 30), (10.125, 19.75, 30), (9.875, 20.25, 30), (10.125, 20.25, 30)]
    assert corners is not None
    assert [pytest.approx(corner) for corner in corners] == wanted


def test_rows_and_columns_point_where_the_cosines_say() -> None:
    corners = corners_mm(PixelGeometry(80, 90, (2.0, 1.0), (5.0, -50.0, 60.0), SAGITTAL), (10.5, 20.5, 12.5, 20.5))
    assert corners is not None
    assert corners[0] == pytest.approx((5.0, -40.0, 20.0))
    assert corners[1] == pytest.approx((5.0, -38.0, 20.0))


@pytest.mark.parametrize(
    "geometry",
    [
        PixelGeometry(80, 90),
        PixelGeometry(80, 90, (1.0, 1.0), (0.0, 0.0, 0.0)),
        PixelGeometry(80, 90, None, (0.0, 0.0, 0.0), AXIAL),
    ],
)
def test_unknown_places_have_none(geometry: PixelGeometry) -> None:
    assert corners_mm(geometry, (0.0, 0.0, 1.0, 1.0)) is None
