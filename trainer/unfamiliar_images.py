"""Pictures that are no brain MR, made or taken from installed packages, and other looks of brain MR. No torch.

They set the threshold of novelty (`trainer.fit_novelty`): the first must be above it, the second below.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

from trainer.grey import read_grey
from trainer.runtime.records import GreyImage

SIDE = 256
OF_EACH_KIND = 12
TILES = 4


def _photographs(generator: np.random.Generator) -> Iterator[GreyImage]:
    """scikit-learn's and matplotlib's sample photographs, whole and in parts."""
    whole = [np.asarray(Image.fromarray(picture).convert("L")) for picture in load_sample_images().images]
    whole += [read_grey(path) for path in sorted(Path(get_data_path(), "sample_data").glob("*.jpg"))]
    for picture in whole:
        yield picture
        side = min(picture.shape) // 2
        for _ in range(OF_EACH_KIND // len(whole)):
            y, x = (int(generator.integers(0, length - side)) for length in picture.shape)
            yield picture[y : y + side, x : x + side]


def _noise(generator: np.random.Generator) -> Iterator[GreyImage]:
    """From white to smooth."""
    for number in range(OF_EACH_KIND):
        cells = SIDE >> (number % 6)
        coarse = generator.integers(0, 256, (cells, cells), dtype=np.uint8)
        yield np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _shapes(generator: np.random.Generator) -> Iterator[GreyImage]:
    """Bright discs and boxes on black, as phantoms show."""
    for number in range(OF_EACH_KIND):
        picture = Image.new("L", (SIDE, SIDE))
        half = int(generator.integers(SIDE // 6, SIDE // 2 - 4))
        outline = (SIDE // 2 - half, SIDE // 2 - half, SIDE // 2 + half, SIDE // 2 + half)
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if number % 2 else draw.rectangle)(outline, fill=int(generator.integers(60, 250)))
        yield np.asarray(picture)


def _pages(generator: np.random.Generator) -> Iterator[GreyImage]:
    """Lines of text, dark on bright or the other way round."""
    for number in range(OF_EACH_KIND):
        paper, ink = (255, 0) if number % 2 else (0, 255)
        picture = Image.new("L", (SIDE, SIDE), paper)
        draw = ImageDraw.Draw(picture)
        for line in range(4 + number):
            words = " ".join(str(value) for value in generator.integers(0, 10**6, 6))
            draw.text((8, 8 + 15 * line), words, fill=ink)
        yield np.asarray(picture)


def _charts(generator: np.random.Generator) -> Iterator[GreyImage]:
    for _ in range(OF_EACH_KIND):
        figure = Figure(figsize=(3, 3), dpi=80)
        axes = figure.subplots()
        axes.plot(generator.normal(size=40).cumsum())
        axes.bar(np.arange(0, 40, 4), generator.uniform(-3, 3, 10))
        drawn = io.BytesIO()
        figure.savefig(drawn)
        yield np.asarray(Image.open(drawn).convert("L"))


def shuffled_tiles(image: GreyImage, generator: np.random.Generator) -> GreyImage:
    """The image `(h, w)` cut into `TILES` by `TILES` pieces and put together anyhow."""
    height, width = (length // TILES for length in image.shape)
    cut = image[: height * TILES, : width * TILES].reshape(TILES, height, TILES, width).swapaxes(1, 2)
    mixed = cut.reshape(-1, height, width)[generator.permutation(TILES * TILES)]
    return mixed.reshape(TILES, TILES, height, width).swapaxes(1, 2).reshape(height * TILES, width * TILES)


def no_brain_images(scans: Sequence[GreyImage], seed: int) -> list[GreyImage]:
    """Photographs, noise, shapes, text and charts, and some of `scans` in pieces; the same for the same seed."""
    generator = np.random.default_rng(seed)
    kinds = (_photographs, _noise, _shapes, _pages, _charts)
    made = [picture for kind in kinds for picture in kind(generator)]
    return made + [shuffled_tiles(scan, generator) for scan in scans[:: max(1, len(scans) // OF_EACH_KIND)]]


def inverted(image: GreyImage) -> GreyImage:
    """Dark where it was bright; air, the darkest tenth, stays dark."""
    return np.where(image > 0.1 * image.max(), image.max() - image, image).astype(np.uint8)


def with_look_of(image: GreyImage, other: GreyImage) -> GreyImage:
    """With the brightness distribution of another image."""
    shares = np.linspace(0, 1, 65)
    matched = np.interp(image, np.quantile(image, shares), np.quantile(other, shares))
    return matched.astype(np.uint8)


def other_looks(scans: Sequence[GreyImage], seed: int) -> list[GreyImage]:
    """Brain MR as other sequences might show it: inverted, with the look of another scan, of another gamma."""
    generator = np.random.default_rng(seed)
    looks = []
    for scan in scans:
        looks.append(inverted(scan))
        looks.append(with_look_of(scan, scans[int(generator.integers(len(scans)))]))
        looks.append((255 * (scan / 255.0) ** generator.uniform(0.5, 1.8)).astype(np.uint8))
    return looks
