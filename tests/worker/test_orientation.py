"""Edge letters for every plane and posture."""

import math

import pytest

from worker.orientation import edge_letters

TILT = math.radians(15)
OBLIQUE = math.radians(40)


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [
        ((1, 0, 0, 0, 1, 0), "R A L P"),  # axial, the way radiologists look at it
        ((-1, 0, 0, 0, -1, 0), "L P R A"),  # axial of a prone patient, as the scanner's frame shows it
        ((0, 1, 0, 1, 0, 0), "A R P L"),  # axial of a patient on the side
        ((0, 1, 0, 0, 0, -1), "A S P I"),  # sagittal
        ((1, 0, 0, 0, 0, -1), "R S L I"),  # coronal
        ((1, 0, 0, 0, math.cos(TILT), math.sin(TILT)), "R A L P"),  # axial, head tilted
        ((1, 0, 0, 0, math.cos(OBLIQUE), math.sin(OBLIQUE)), "R AI L PS"),
        ((0.99, 0.14, 0, -0.14, 0.99, 0), "R A L P"),
    ],
)
def test_letters(orientation: tuple[float, ...], letters: str) -> None:
    found = edge_letters(orientation)
    assert f"{found.left} {found.top} {found.right} {found.bottom}" == letters


def test_opposite_edges_have_opposite_letters() -> None:
    opposite = {"L": "R", "A": "P", "S": "I"} | {"R": "L", "P": "A", "I": "S"}
    found = edge_letters((0.71, 0.5, -0.5, 0.0, 0.71, 0.71))
    for one, other in ((found.left, found.right), (found.top, found.bottom)):
        assert other == "".join(opposite[letter] for letter in one)
