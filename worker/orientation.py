"""Which way is which on a slice: letters for its four edges, from the direction cosines (PS3.3 C.7.6.2.1.1)."""

from collections.abc import Sequence

from reports.content import EdgeLetters

_POSITIVE, _NEGATIVE = "LPS", "RAI"
"""Of the patient's axes x, y, z. The cosines are the patient's, so that lying prone or on a side changes nothing."""

_TILTED_FROM = 0.4
"""An axis counts as the second letter from this cosine on: 24 degrees off. Usual gantry and head tilts are less."""


def edge_letters(orientation: Sequence[float]) -> EdgeLetters:
    """Letters of the edges of an image with this ImageOrientationPatient: two unit vectors, of a row and of a column.

    Each edge has the letter of the axis it points along, L/R, P/A or S/I, and those of a second and third where it is
    tilted towards them, as in "AL".
    """
    row, column = tuple(orientation[:3]), tuple(orientation[3:])
    return EdgeLetters(
        left=_direction([-cosine for cosine in row]),
        top=_direction([-cosine for cosine in column]),
        right=_direction(row),
        bottom=_direction(column),
    )


def _direction(cosines: Sequence[float]) -> str:
    axes = sorted(range(3), key=lambda axis: -abs(cosines[axis]))
    shown = [axis for axis in axes if axis == axes[0] or abs(cosines[axis]) >= _TILTED_FROM]
    return "".join((_POSITIVE if cosines[axis] > 0 else _NEGATIVE)[axis] for axis in shown)
