"""Label placement and thumbnails."""

import io
from unittest import mock

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from reports.annotate import (
    INK_ON_BOX,
    box_colour,
    draw_boxes_on_page,
    draw_letters_on_page,
    fit_box,
    place_labels,
    thumbnail_jpeg,
)
from reports.content import EdgeLetters, KeyImage, MarkedBox
from reports.shaping import Line, shape
from tests.reports.samples import jpeg


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def test_a_label_stands_on_its_box() -> None:
    assert place_labels([(50, 60, 90, 100)], [(30, 10)], (200, 200)) == [(50, 50, 80, 60)]


def test_at_the_upper_edge_the_label_goes_below() -> None:
    assert place_labels([(50, 0, 90, 40)], [(30, 10)], (200, 200)) == [(50, 40, 80, 50)]


def test_labels_stay_inside_and_apart() -> None:
    boxes = [(150, 2, 199, 30), (152, 4, 198, 28), (0, 150, 20, 200), (3, 155, 22, 198), (100, 100, 110, 110)]
    spots = place_labels(boxes, [(60, 12)] * 5, (200, 200))
    assert all(min(x1, y1) >= 0 and max(x2, y2) <= 200 for x1, y1, x2, y2 in spots)
    assert not [1 for i, a in enumerate(spots) for b in spots[:i] if overlap(a, b)]


def test_a_label_stays_at_its_box_even_over_another_box() -> None:
    boxes = [(50, 60, 90, 100), (20, 20, 180, 180)]
    assert place_labels(boxes, [(30, 10)] * 2, (200, 200))[0] == (50, 50, 80, 60)


def test_boxes_and_sizes_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        place_labels([(0, 0, 1, 1)], [], (10, 10))


def test_a_box_is_scaled_and_kept_inside() -> None:
    assert fit_box((10, 20, 30, 300), (100, 200), (50, 50)) == (5.0, 5.0, 15.0, 50.0)
    assert fit_box((-5, 8, -1, 4), (10, 10), (10, 10)) == (0.0, 4.0, 0.0, 8.0)


def test_classes_have_colours_of_their_own() -> None:
    assert len({box_colour(name) for name in ("Glioma", "Meningioma", "Pituitary", "other")}) == 4
    assert box_colour(" glioma ") == box_colour("Glioma")


def test_the_thumbnail_is_small_and_keeps_its_shape() -> None:
    picture = Image.open(io.BytesIO(thumbnail_jpeg(KeyImage(jpeg(400, 200), 400, 200, ""), 160)))
    assert (picture.format, picture.size, picture.mode) == ("JPEG", (160, 80), "RGB")


def test_a_small_picture_is_not_enlarged() -> None:
    assert Image.open(io.BytesIO(thumbnail_jpeg(KeyImage(jpeg(60, 40), 60, 40, "")))).size == (60, 40)


def test_the_box_is_drawn_where_it_belongs() -> None:
    box = MarkedBox(1, "Glioma", 0.9, (160.0, 160.0, 320.0, 320.0))
    plain = KeyImage(jpeg(480, 480), 480, 480, "")
    marked = KeyImage(plain.jpeg, 480, 480, "", (box,))
    bare, drawn = (Image.open(io.BytesIO(thumbnail_jpeg(key))).convert("RGB") for key in (plain, marked))
    red, green, blue = drawn.getpixel((90, 106))  # lower edge: 320 / 480 * 160
    assert red > 180
    assert red - blue > 80
    assert green < red
    far = [(20, 20), (80, 80), (150, 150)]
    assert [sum(drawn.getpixel(at)) // 3 for at in far] == pytest.approx(
        [sum(bare.getpixel(at)) // 3 for at in far], abs=12
    )


def test_on_a_page_the_box_is_drawn_where_it_belongs() -> None:
    canvas = mock.Mock(spec=Canvas)
    box = MarkedBox(1, "Glioma", 0.9, (100.0, 120.0, 150.0, 170.0))
    draw_boxes_on_page(canvas, KeyImage(b"", 200, 200, "", (box,)), (400.0, 400.0), (10.0, 700.0))
    outlines = [call for call in canvas.rect.call_args_list if call.kwargs["stroke"]]
    assert outlines == [mock.call(210.0, 360.0, 100.0, 100.0, stroke=1, fill=0)] * 2  # dark halo, then the colour


def test_letters_stand_in_the_middle_of_their_edges() -> None:
    places: dict[str, tuple[float, float]] = {}

    def note(_canvas: object, line: Line, x: float, y: float, *, size: float, colour: str) -> None:
        assert colour != INK_ON_BOX
        places[line.pieces[0].chars] = (x + line.width * size / 2000, y)

    with mock.patch("reports.annotate.draw_line", note):
        draw_letters_on_page(mock.Mock(spec=Canvas), EdgeLetters("R", "A", "L", "P"), (300.0, 400.0), (10.0, 700.0))
    assert len(places) == 4
    (left, top, right, bottom) = (places[shape(letter, bold=True).pieces[0].chars] for letter in "RALP")
    assert left[0] < 20
    assert 300 < right[0] < 310
    assert left[1] == right[1] == pytest.approx(500, abs=5)
    assert top[0] == bottom[0] == pytest.approx(160)
    assert 300 < bottom[1] < 310
    assert 685 < top[1] < 697


def test_hundreds_of_boxes_do_not_hang() -> None:
    boxes = tuple(MarkedBox(n, "Glioma", 0.5, (n, n, n + 20, n + 20)) for n in range(400))
    assert thumbnail_jpeg(KeyImage(jpeg(), 256, 256, "", boxes)).startswith(b"\xff\xd8")


def test_other_formats_are_refused() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        thumbnail_jpeg(KeyImage(b"\x89PNG\r\n", 10, 10, ""))
