"""Boxes on images: colours, places of their labels, drawn on the report's page and on the worklist's thumbnails.

Rectangles are `(x1, y1, x2, y2)`, origin top left, y down, in the unit of the frame they are given with.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from reports.content import EdgeLetters, KeyImage, MarkedBox
from reports.fonts import BOLD, font_bytes
from reports.shaping import Line, draw_line, shape
from reports.text import clean
from reports.theme import ink
from reports.wording import percent

__all__ = [
    "INK_ON_BOX",
    "MAX_BOXES",
    "Rectangle",
    "box_colour",
    "draw_boxes_on_page",
    "draw_letters_on_page",
    "fit_box",
    "place_labels",
    "thumbnail_jpeg",
]

Rectangle = tuple[float, float, float, float]

INK_ON_BOX: Final = "#101214"
MAX_BOXES: Final = 12  # on one picture; more would hide what they mark

_HALO: Final = 1.1
_LETTER_MARGIN: Final = 3.0
_LETTER_COLOUR: Final = "#FFFFFF"

# Light hues that stay apart for colour-blind readers on a grey picture; number and word say the same.
_COLOURS = {"glioma": "#FFA630", "meningioma": "#56CCF2", "pituitary": "#8EE05A"}
_OTHER_COLOUR = "#F5E663"


def box_colour(label: str) -> str:
    """Return the `#RRGGBB` colour of a class."""
    return _COLOURS.get(label.strip().lower(), _OTHER_COLOUR)


def fit_box(xyxy: Rectangle, source: tuple[float, float], frame: tuple[float, float]) -> Rectangle:
    """Scale a box from a `source` (width, height) to a `frame` (width, height) and keep it inside the frame."""
    x_scale, y_scale = frame[0] / source[0], frame[1] / source[1]
    x1, x2 = sorted(min(max(x * x_scale, 0.0), frame[0]) for x in (xyxy[0], xyxy[2]))
    y1, y2 = sorted(min(max(y * y_scale, 0.0), frame[1]) for y in (xyxy[1], xyxy[3]))
    return x1, y1, x2, y2


def place_labels(
    boxes: Sequence[Rectangle], sizes: Sequence[tuple[float, float]], frame: tuple[float, float]
) -> list[Rectangle]:
    """Return a rectangle for each box's label: beside its box, inside the frame, off the boxes and the other labels.

    Args:
        boxes: already in the unit of the frame.
        sizes: (width, height) of each label.
        frame: (width, height) of the picture.

    Raises:
        ValueError: `boxes` and `sizes` differ in length.
    """
    placed: list[Rectangle] = []
    for box, size in zip(boxes, sizes, strict=True):
        near, far = _candidates(box, size, frame)
        spot = min(near, key=lambda spot: (_overlap(spot, placed), _overlap(spot, boxes)))
        if _overlap(spot, placed):
            spot = min([spot, *far], key=lambda spot: (_overlap(spot, placed), _overlap(spot, boxes)))
        placed.append(spot)
    return placed


def _candidates(
    box: Rectangle, size: tuple[float, float], frame: tuple[float, float]
) -> tuple[list[Rectangle], list[Rectangle]]:
    """Return the places at the box, best first, and a column of places over the whole height."""
    x1, y1, x2, y2 = box
    width, height = size
    spots = [(x1, y1 - height), (x1, y2), (x2 - width, y1 - height), (x2 - width, y2), (x2, y1), (x1 - width, y1)]
    spots += [(x1, y1), (x2 - width, y2 - height)]
    column = [(x1, row * height) for row in range(max(1, int(frame[1] / height)))]
    near, far = ([_moved_inside(left, top, size, frame) for left, top in places] for places in (spots, column))
    return near, far


def _moved_inside(left: float, top: float, size: tuple[float, float], frame: tuple[float, float]) -> Rectangle:
    left = max(0.0, min(left, frame[0] - size[0]))
    top = max(0.0, min(top, frame[1] - size[1]))
    return left, top, left + size[0], top + size[1]


def _overlap(one: Rectangle, others: Sequence[Rectangle]) -> float:
    return sum(
        max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
        * max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
        for other in others
    )


def _text_size(drawn: tuple[float, float]) -> float:
    """Points, for a picture of this (width, height) on the page."""
    return 8.0 if drawn[0] > 220 else 6.2


def draw_letters_on_page(
    canvas: Any, edges: EdgeLetters, drawn: tuple[float, float], corner: tuple[float, float]
) -> None:
    """Draw the letters of the edges over a picture on a PDF page, each in the middle of its edge.

    Args:
        canvas: reportlab's.
        edges: what they are.
        drawn: (width, height) of the picture on the page, points.
        corner: (x, y) of its upper left corner on the page, points, y up.
    """
    size = _text_size(drawn)
    (left, top), (width, height) = corner, drawn
    for letters, across, down in (
        (edges.left, 0.0, 0.5),
        (edges.right, 1.0, 0.5),
        (edges.top, 0.5, 0.0),
        (edges.bottom, 0.5, 1.0),
    ):
        line = shape(letters, bold=True)
        text_width, text_height = line.width * size / 1000, size * 0.75
        x = left + _LETTER_MARGIN + across * (width - text_width - 2 * _LETTER_MARGIN)
        y = top - _LETTER_MARGIN - text_height - down * (height - text_height - 2 * _LETTER_MARGIN)
        canvas.setFillColor(ink(INK_ON_BOX))
        canvas.rect(x - 1.5, y - 1.5, text_width + 3, text_height + 3, stroke=0, fill=1)
        draw_line(canvas, line, x, y, size=size, colour=_LETTER_COLOUR)


def draw_boxes_on_page(canvas: Any, image: KeyImage, drawn: tuple[float, float], corner: tuple[float, float]) -> None:
    """Draw the numbered boxes of `image` over it on a PDF page, as vector graphics: at most `MAX_BOXES`.

    Args:
        canvas: reportlab's.
        image: boxes are in pixels of its own width and height.
        drawn: (width, height) of the picture on the page, points.
        corner: (x, y) of its upper left corner on the page, points, y up.
    """
    marked = image.boxes[:MAX_BOXES]
    size = _text_size(drawn)
    boxes = [fit_box(box.xyxy, (image.width, image.height), drawn) for box in marked]
    labels = [_label(box, 1000 * (drawn[0] - 6) / size) for box in marked]
    sizes = [(label.width * size / 1000 + 6, size * 1.45) for label in labels]
    canvas.saveState()
    for box, (x1, y1, x2, y2) in zip(marked, boxes, strict=True):
        for colour, line_width in ((INK_ON_BOX, 1.4 + _HALO), (box_colour(box.label), 1.4)):
            canvas.setStrokeColor(ink(colour))
            canvas.setLineWidth(line_width)
            canvas.rect(corner[0] + x1, corner[1] - y2, x2 - x1, y2 - y1, stroke=1, fill=0)
    for box, label, spot in zip(marked, labels, place_labels(boxes, sizes, drawn), strict=True):
        left, bottom = corner[0] + spot[0], corner[1] - spot[3]
        canvas.setFillColor(ink(box_colour(box.label)))
        canvas.rect(left, bottom, spot[2] - spot[0], spot[3] - spot[1], stroke=0, fill=1)
        draw_line(canvas, label, left + 3, bottom + size * 0.37, size=size, colour=INK_ON_BOX)
    canvas.restoreState()


def _label(box: MarkedBox, room: float) -> Line:
    full = shape(f"{box.number}  {clean(box.label, 20)}  {percent(box.score)}", bold=True)
    return full if full.width <= room else shape(str(box.number), bold=True)


def thumbnail_jpeg(key_image: KeyImage, max_side: int = 160) -> bytes:
    """Return a small RGB JPEG of `key_image` with its numbered boxes.

    Args:
        key_image: boxes are in pixels of its own width and height.
        max_side: longest side in pixels; a smaller picture is not enlarged.

    Raises:
        PIL.UnidentifiedImageError: the bytes are no image.
        OSError: the image is cut off.
    """
    picture = Image.open(BytesIO(key_image.jpeg), formats=["JPEG"])
    picture.draft(None, (2 * max_side, 2 * max_side))  # decode no more detail than is shown
    small = picture.convert("RGB")
    small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    _draw_boxes_on_thumbnail(small, key_image)
    out = BytesIO()
    small.save(out, "JPEG", quality=80, optimize=True)
    return out.getvalue()


def _draw_boxes_on_thumbnail(picture: Image.Image, key_image: KeyImage) -> None:
    pen = ImageDraw.Draw(picture)
    source = (key_image.width, key_image.height)
    marked = key_image.boxes[:MAX_BOXES]
    boxes = [fit_box(box.xyxy, source, picture.size) for box in marked]
    size = max(9, max(picture.size) // 12)
    font = _tag_font(size)
    sizes = [(pen.textlength(str(box.number), font) + size * 0.6, size * 1.2) for box in marked]
    for shown, box, tag in zip(marked, boxes, place_labels(boxes, sizes, picture.size), strict=True):
        colour = box_colour(shown.label)
        pen.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline=INK_ON_BOX)
        pen.rectangle(box, outline=colour, width=2)
        pen.rectangle(tag, fill=colour)
        pen.text(((tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2), str(shown.number), INK_ON_BOX, font, anchor="mm")


@cache
def _tag_font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(BytesIO(font_bytes(BOLD)), size)
