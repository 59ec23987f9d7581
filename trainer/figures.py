"""Pictures of a run: loss and accuracy per epoch, and samples with their boxes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from trainer.grey import read_grey
from trainer.labels import Sample

mpl.use("agg")

TRAINING_COLOUR, VALIDATION_COLOUR = "#1f5fa8", "#d1495b"
BOX_COLOURS = ("#e4572e", "#f3a712", "#2e86ab", "#8d99ae")


def draw_curves(history: Sequence[dict[str, float]], path: Path) -> None:
    """Loss and accuracy per epoch of the training and the held-out part, as a PNG."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [row[f"train_{quantity}"] for row in history], color=TRAINING_COLOUR, label="training")
        axes.plot(epochs, [row[f"validation_{quantity}"] for row in history], color=VALIDATION_COLOUR, label="held out")
        axes.set(xlabel="epoch", ylabel=quantity, title=f"{quantity.capitalize()} per epoch")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def draw_samples(samples: Sequence[Sample], path: Path, count: int = 24, columns: int = 6) -> None:
    """A grid of `count` images from all over a part, as a PNG, with every box of their label files.

    Colours are the lines' classes; a line of another class than the image's (a normal gland) is dashed.
    """
    chosen = samples[:: max(1, len(samples) // count)][:count]
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(columns * 1.7, rows * 1.9), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, sample in zip(figure.axes, chosen, strict=False):
        image = read_grey(sample.image_path)
        height, width = image.shape
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(sample.tumor_class, fontsize=8)
        for line in sample.lines:
            style = "-" if line.class_index == sample.class_index else "--"
            x1, y1, x2, y2 = line.xyxy()
            xs, ys = [x1 * width, x2 * width], [y1 * height, y2 * height]
            outline = [xs[0], xs[1], xs[1], xs[0], xs[0]], [ys[0], ys[0], ys[1], ys[1], ys[0]]
            axes.plot(*outline, style, color=BOX_COLOURS[line.class_index], linewidth=1.2)
    figure.savefig(path, dpi=110)
