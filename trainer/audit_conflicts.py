"""The same picture with several answers: under several classes, or with its boxes in other places."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.audit_findings import Finding, Slug, note, warning
from trainer.audit_groups import Group
from trainer.label_check import box_iou
from trainer.labels import LabelLine
from trainer.leakage import distances
from trainer.runtime.records import TumorClass

CONFLICT_IOU = 0.5
"""Boxes of the same picture that overlap less mark different places; more, they were drawn twice by hand."""
FARTHER_THAN_ANY = 65
"""Bits; hashes have 64."""


def _classes_of(group: Group) -> Counter[TumorClass]:
    return Counter(picture.image.tumor_class for picture in group if picture.image.tumor_class)


def _listed(counts: Counter[TumorClass]) -> str:
    return ", ".join(f"{tumor_class} {count}" for tumor_class, count in counts.most_common())


def class_conflicts(by_pixels: Sequence[Group]) -> list[Finding]:
    """Groups of equal pixels that lie under several classes."""
    findings = []
    for group in by_pixels:
        classes = _classes_of(group)
        if len(classes) > 1:
            first, *others = _one_of_each_class_first(group)
            sentence = f"the same pixels under several classes: {_listed(classes)}"
            findings.append(warning(Slug.CLASS_CONFLICT, first, sentence, others=tuple(others)))
    return findings


def _one_of_each_class_first(group: Group) -> list[str]:
    """Files, so that the first ones show every class."""
    seen: Counter[TumorClass | None] = Counter()
    places = []
    for picture in group:
        places.append((seen[picture.image.tumor_class], picture.image.file))
        seen[picture.image.tumor_class] += 1
    return [file for _, file in sorted(places, key=lambda place: place[0])]


def look_alike_class_conflicts(by_group: Sequence[Group]) -> list[Finding]:
    """Groups of look-alikes that lie under several classes, the nearest first; equal pixels are `class_conflicts`."""
    mixed = [group for group in by_group if len(_classes_of(group)) > 1 and not _holds_class_conflict(group)]
    found = [_look_alike_class_conflict(group) for group in mixed]
    return [finding for _, finding in sorted(found, key=lambda one: one[0])]


def _holds_class_conflict(group: Group) -> bool:
    class_of: dict[str, TumorClass | None] = {}
    return any(
        class_of.setdefault(picture.facts.pixel_sha256, picture.image.tumor_class) is not picture.image.tumor_class
        for picture in group
    )


def _look_alike_class_conflict(group: Group) -> tuple[int, Finding]:
    """Distance of the nearest pair across classes, and the finding with that pair first."""
    hashes = np.array([picture.facts.hashes for picture in group], np.uint64)
    names = np.array([str(picture.image.tumor_class) for picture in group])
    bits = np.where(names[:, None] == names[None], FARTHER_THAN_ANY, distances(hashes, hashes))
    a, b = (int(place) for place in np.unravel_index(bits.argmin(), bits.shape))
    rest = [picture.image.file for place, picture in enumerate(group) if place not in (a, b)]
    nearest, classes = int(bits[a, b]), _listed(_classes_of(group))
    sentence = f"look-alikes under several classes ({classes}; nearest {nearest} of 64 bits): compare them by eye"
    others = (group[b].image.file, *rest)
    return nearest, warning(Slug.LOOK_ALIKE_CLASS_CONFLICT, group[a].image.file, sentence, others=others)


def label_agreement(a: Sequence[LabelLine], b: Sequence[LabelLine]) -> float:
    """How well two files mark the same places: the worst of the best IoUs of each box, 1 for none in both, 0 to 1."""
    if not a or not b:
        return 1.0 if len(a) == len(b) else 0.0

    def best(line: LabelLine, among: Sequence[LabelLine]) -> float:
        return max((box_iou(line, one) for one in among if one.class_index == line.class_index), default=0.0)

    return min(*(best(line, b) for line in a), *(best(line, a) for line in b), 1.0)


def label_conflicts(by_pixels: Sequence[Group]) -> list[Finding]:
    """Groups of one class whose label lines differ, those that agree least first."""
    found = [conflict for group in by_pixels if len(_classes_of(group)) == 1 for conflict in _label_conflict(group)]
    return [finding for _, finding in sorted(found, key=lambda one: one[0])]


def _label_conflict(group: Group) -> Iterator[tuple[float, Finding]]:
    """All files of a group set beside its first."""
    first = group[0].image
    agreements = [(label_agreement(first.lines, picture.image.lines), picture.image) for picture in group[1:]]
    differing = sorted(
        ((agreement, image) for agreement, image in agreements if set(image.lines) != set(first.lines)),
        key=lambda one: one[0],
    )
    if not differing:
        return
    agreement, worst = differing[0]
    others = tuple(image.file for _, image in differing)
    if agreement < CONFLICT_IOU and first.tumor_class is not TumorClass.NO_TUMOR:
        worst_box = (
            f"one with IoU {agreement:.2f} only" if agreement else "one of them without a counterpart of its class"
        )
        sentence = f"the same pixels as {worst.file}: {len(first.lines)} and {len(worst.lines)} boxes, {worst_box}"
        yield agreement, warning(Slug.LABEL_CONFLICT, first.file, sentence, others=others)
    else:
        sentence = f"the same pixels as {worst.file}, boxes drawn anew: IoU {agreement:.2f}"
        yield agreement, note(Slug.LABEL_REDRAWN, first.file, sentence, others=others)
