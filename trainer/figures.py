"""Pictures of a run: loss and accuracy per epoch, and samples with their boxes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from trainer.dataset import BrainTumorTestDataset
from trainer.runtime.records import CLASSES, GLAND_CHANNEL

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


def draw_samples(dataset: BrainTumorTestDataset, path: Path, count: int = 24, columns: int = 6) -> None:
    """A grid of `count` images from all over the data set with the boxes of their labels, as a PNG; glands dashed."""
    indices = range(0, len(dataset), max(1, len(dataset) // count))[:count]
    rows = -(-len(indices) // columns)
    figure = Figure(figsize=(columns * 1.7, rows * 1.9), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, index in zip(figure.axes, indices, strict=False):
        image, target = dataset[index]
        axes.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(CLASSES[target.class_index], fontsize=8)
        for xyxy, channel in zip(target.xyxy.tolist(), target.channels.tolist(), strict=True):
            style = "--" if channel == GLAND_CHANNEL else "-"
            x1, y1, x2, y2 = xyxy
            axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], style, color=BOX_COLOURS[channel], linewidth=1.2)
    figure.savefig(path, dpi=110)
