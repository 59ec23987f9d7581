"""What an evaluation looks like: reliability diagrams, and the worst errors with their boxes. No torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from trainer.grey import read_grey
from trainer.intervals import IntArray, wilson_interval
from trainer.measure import Answered, Opinions
from trainer.model_card import RELIABILITY, WORST_ERRORS
from trainer.runtime.records import GLAND_CHANNEL
from trainer.scores import ECE_BINS, Float64Array, expected_calibration_error, reliability_bins

PICTURES = (RELIABILITY, WORST_ERRORS)

INK, MUTED, BARS = "#333333", "#9aa0a6", "#7f93ad"
TRUE_BOX, GLAND_BOX, DRAWN_BOX = "#4cc9f0", "#bdbdbd", "#ffb000"
WRONG, UNCERTAIN = "#b3261e", "#5f6368"
GRID_ROWS, GRID_COLUMNS = 4, 6


def draw_reliability(answered: Sequence[Answered], path: Path) -> None:
    """How often answers of each certainty are right, before calibration, after it, and as answered; a PNG.

    Below each diagram stands how many images each bin holds: a bar of few images proves little.
    """
    opinions = Opinions.of(answered)
    panels = (
        ("Before: classifier, raw softmax", opinions.raw),
        ("After: classifier, temperature-scaled", opinions.scaled),
        ("After: the answer, boxes and classifier fused", opinions.fused),
    )
    figure = Figure(figsize=(12.6, 5.4), layout="constrained")
    axes = figure.subplots(2, len(panels), height_ratios=(3, 1), sharex=True, sharey="row", squeeze=False)
    for column, (title, probabilities) in enumerate(panels):
        error = expected_calibration_error(probabilities, opinions.truth)
        axes[0, column].set_title(f"{title}\nECE {error:.3f}", fontsize=10, color=INK)
        _draw_bins(axes[0, column], axes[1, column], probabilities, opinions.truth)
    axes[0, 0].set_ylabel("share of right answers")
    axes[1, 0].set_ylabel("images")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    figure.savefig(path, dpi=110)


def _draw_bins(diagram: Axes, counts: Axes, probabilities: Float64Array, truth: IntArray) -> None:
    """One diagram with the counts below it."""
    width = 1 / ECE_BINS
    found = reliability_bins(probabilities, truth)
    left = [each.low for each in found]
    certainty, accuracy = [each.certainty for each in found], [each.accuracy for each in found]
    intervals = [wilson_interval(each.right, each.images) for each in found]
    reach = np.abs(np.array(intervals).T - np.array(accuracy))
    diagram.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1, label="as often right as it is sure")
    diagram.bar(left, accuracy, width, align="edge", color=BARS, alpha=0.35, edgecolor="white")
    label = "share that is right, with its 95 % interval"
    diagram.errorbar(certainty, accuracy, reach, fmt="o", color=INK, markersize=4, elinewidth=1, label=label)
    diagram.set(xlim=(0.2, 1.0), ylim=(0, 1.04), xticks=[0.2, 0.4, 0.6, 0.8, 1.0])
    bars = counts.bar(left, [each.images for each in found], width, align="edge", color=BARS, edgecolor="white")
    counts.bar_label(bars, fontsize=7, color=INK)
    counts.set(xlabel="stated certainty of the answer", ylim=(0, 4 * len(truth)))
    counts.set_yscale("symlog", linthresh=1)
    counts.set_yticks([0, 1, 10, 100, 1000] if len(truth) > 100 else [0, 1, 10, 100])
    counts.yaxis.set_major_formatter("{x:.0f}")
    for axes in (diagram, counts):
        axes.grid(alpha=0.2)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)


def is_right(answered: Answered) -> bool:
    """Whether the answer is the class of the image's folder."""
    return answered.prediction.label is answered.read.sample.tumor_class


def worst_first(answered: Sequence[Answered]) -> list[Answered]:
    """The wrong answers, the surest first; then the right ones, the least sure first."""
    wrong = [each for each in answered if not is_right(each)]
    right = [each for each in answered if is_right(each)]
    wrong.sort(key=lambda each: -max(each.prediction.probabilities))
    right.sort(key=lambda each: max(each.prediction.probabilities))
    return wrong + right


def draw_worst(answered: Sequence[Answered], path: Path) -> None:
    """The 24 worst answers with their boxes, as a JPEG: `worst_first`.

    Raises:
        DatasetError: an image cannot be read.
    """
    worst = worst_first(answered)[: GRID_ROWS * GRID_COLUMNS]
    wrong = sum(not is_right(each) for each in answered)
    figure = Figure(figsize=(GRID_COLUMNS * 2.1, GRID_ROWS * 2.45 + 0.7), layout="constrained")
    for axes in figure.subplots(GRID_ROWS, GRID_COLUMNS).flat:
        axes.axis("off")
    for axes, each in zip(figure.axes, worst, strict=False):
        _draw_answer(axes, each)
    shown = min(wrong, len(worst))
    figure.suptitle(
        f"{len(answered)} images: {'all' if shown == wrong else f'{shown} of the'} {wrong} wrong answers, "
        "the surest first (red), "
        f"then {len(worst) - shown} right ones, the least sure first (grey)\n"
        "dashed: marked in the data set (grey: a normal gland) · solid: drawn by the model, with its score",
        fontsize=10,
        color=INK,
    )
    figure.savefig(path, dpi=100, pil_kwargs={"quality": 85})


def _draw_answer(axes: Axes, answered: Answered) -> None:
    """One image, its boxes, and "truth → answer, certainty" above it."""
    read, prediction = answered.read, answered.prediction
    axes.imshow(read_grey(read.sample.image_path), cmap="gray", vmin=0, vmax=255)
    truth, certainty = read.sample.tumor_class, max(prediction.probabilities)
    if is_right(answered):
        title, colour = f"{truth}, {certainty:.2f}\n(right, not sure)", UNCERTAIN
    else:
        title, colour = f"{truth} →\n{prediction.label}, {certainty:.2f}", WRONG
    axes.set_title(title, fontsize=8.5, color=colour)
    xyxy, channels, _ = read.lesion_boxes()
    for box, channel in zip(xyxy.tolist(), channels.tolist(), strict=True):
        _draw_box(axes, box, "--", GLAND_BOX if channel == GLAND_CHANNEL else TRUE_BOX)
    for drawn in prediction.boxes:
        _draw_box(axes, drawn.xyxy, "-", DRAWN_BOX)
        x, y = drawn.xyxy[:2]
        text = axes.text(x, y, f"{drawn.label[0]} {drawn.score:.2f}", fontsize=7, color=DRAWN_BOX, va="bottom")
        text.set_path_effects([withStroke(linewidth=1.5, foreground="black")])


def _draw_box(axes: Axes, xyxy: Sequence[float], style: str, colour: str) -> None:
    """The outline of a box in image pixels."""
    x1, y1, x2, y2 = xyxy
    axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], style, color=colour, linewidth=1.3)


def draw_pictures(answered: Sequence[Answered], folder: Path) -> None:
    """Write `PICTURES` into a folder, which is made when it is missing.

    Raises:
        DatasetError: an image cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw_reliability(answered, folder / RELIABILITY)
    draw_worst(answered, folder / WORST_ERRORS)
