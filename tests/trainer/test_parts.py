"""What a run saw is written down so that a change is seen. (Which images: test_leakage.py.)"""

from dataclasses import replace
from pathlib import Path

from trainer.labels import Split, list_samples
from trainer.parts import labels_sum


def test_the_sum_of_the_labels_sees_every_number_and_whose_it_is(data: Path) -> None:
    first, second, *_ = list_samples(data, Split.VAL)
    [line] = first.lines
    changed = [
        [replace(first, lines=(replace(line, centre_x=line.centre_x + 1e-9),)), second],
        [replace(first, lines=(replace(line, class_index=3),)), second],
        [replace(first, lines=(line, line)), second],
        [replace(first, lines=()), second],
        [replace(first, split=Split.TRAIN), second],
        [replace(first, name=second.name), replace(second, name=first.name)],
        [first],
    ]
    sums = [labels_sum(samples) for samples in ([first, second], *changed)]
    assert len(set(sums)) == len(sums)
    assert labels_sum([first, second]) == sums[0]
