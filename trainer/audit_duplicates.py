"""Pictures that stand in a data set more than once: equal pixels, look-alikes, leaks from Train into Val, conflicts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.audit_conflicts import class_conflicts, label_conflicts, look_alike_class_conflicts
from trainer.audit_files import AuditedImage
from trainer.audit_findings import Finding, Slug, note, warning
from trainer.audit_groups import Group, GroupedImage, repeated
from trainer.audit_leakage import Leakage, find_leaks
from trainer.labels import Split
from trainer.leakage import look_alike_groups


@dataclass(frozen=True)
class ExactGroups:
    """Groups of at least two files with the same sum.

    Attributes:
        groups: how many.
        files: files in them.
        surplus: files beyond one a group.
        val_in_train: Val files whose sum stands in Train too.
    """

    groups: int
    files: int
    surplus: int
    val_in_train: int


@dataclass(frozen=True)
class DuplicateStatistics:
    """How often pictures repeat.

    Attributes:
        by_file: equal bytes of the files at hand.
        by_pixels: equal decoded grey pixels.
        by_original: equal sums in originals.csv; `None` without one.
        look_alike_groups: groups of at least two (`trainer.leakage`), exact duplicates among them.
        look_alike_files: files in them.
        largest_group: files in the largest.
        label_conflicts: groups of equal pixels whose label lines differ by more than the hand that drew them.
        redrawn_labels: groups of equal pixels whose label lines differ less.
    """

    by_file: ExactGroups
    by_pixels: ExactGroups
    by_original: ExactGroups | None
    look_alike_groups: int
    look_alike_files: int
    largest_group: int
    label_conflicts: int
    redrawn_labels: int


@dataclass(frozen=True)
class Duplicates:
    """All decoded images with their groups, the counts, and what was found; `leakage` needs both splits."""

    pictures: tuple[GroupedImage, ...]
    statistics: DuplicateStatistics
    leakage: Leakage | None
    findings: tuple[Finding, ...]


def find_duplicates(images: Sequence[AuditedImage]) -> Duplicates:
    """Group all images that can be decoded, exactly as `trainer.leakage.find_picture_groups` does."""
    decoded = [(image, image.facts) for image in images if image.facts is not None]
    hashes = np.array([facts.hashes for _, facts in decoded], np.uint64).reshape(-1, 2)
    groups = look_alike_groups(hashes).tolist()
    pictures = tuple(GroupedImage(image, facts, group) for (image, facts), group in zip(decoded, groups, strict=True))
    by_pixels = repeated(pictures, [picture.facts.pixel_sha256 for picture in pictures])
    by_group = repeated(pictures, groups)
    labels = label_conflicts(by_pixels)
    leakage, leaks = find_leaks(pictures, hashes)
    findings = (
        *leaks,
        *class_conflicts(by_pixels),
        *look_alike_class_conflicts(by_group),
        *labels,
        *(finding for group in by_pixels for finding in _duplicates_in_a_split(group)),
        *(finding for group in by_group for finding in _look_alikes_in_a_split(group)),
    )
    statistics = _statistics(pictures, by_group, Counter(finding.slug for finding in labels))
    return Duplicates(pictures, statistics, leakage, findings)


def _count_exact(pictures: Sequence[GroupedImage], sums: Sequence[str]) -> ExactGroups:
    groups = repeated(pictures, sums)
    in_train = {key for picture, key in zip(pictures, sums, strict=True) if picture.image.split is Split.TRAIN}
    in_val = [key for picture, key in zip(pictures, sums, strict=True) if picture.image.split is Split.VAL]
    files = sum(len(group) for group in groups)
    return ExactGroups(len(groups), files, files - len(groups), sum(key in in_train for key in in_val))


def _statistics(
    pictures: Sequence[GroupedImage], by_group: Sequence[Group], label_findings: Counter[Slug]
) -> DuplicateStatistics:
    original = [(picture, picture.image.original.sha256) for picture in pictures if picture.image.original]
    return DuplicateStatistics(
        by_file=_count_exact(pictures, [picture.facts.sha256 for picture in pictures]),
        by_pixels=_count_exact(pictures, [picture.facts.pixel_sha256 for picture in pictures]),
        by_original=_count_exact(*zip(*original, strict=True)) if original else None,
        look_alike_groups=len(by_group),
        look_alike_files=sum(len(group) for group in by_group),
        largest_group=max((len(group) for group in by_group), default=1),
        label_conflicts=label_findings[Slug.LABEL_CONFLICT],
        redrawn_labels=label_findings[Slug.LABEL_REDRAWN],
    )


def _by_split(group: Group) -> Iterator[tuple[str, Group]]:
    for split in (*Split, None):
        inside = [picture for picture in group if picture.image.split is split]
        if len(inside) > 1:
            yield f"in {split}" if split else "here", inside


def _duplicates_in_a_split(group: Group) -> Iterator[Finding]:
    for where, inside in _by_split(group):
        files = [picture.image.file for picture in inside]
        how = "byte for byte" if len({picture.facts.sha256 for picture in inside}) == 1 else "pixel for pixel"
        sentence = f"stands {len(files)} times {where}, {how}"
        yield warning(Slug.DUPLICATES, files[0], sentence, others=tuple(files[1:]))


def _look_alikes_in_a_split(group: Group) -> Iterator[Finding]:
    for where, inside in _by_split(group):
        different = {picture.facts.pixel_sha256: picture.image.file for picture in reversed(inside)}
        if len(different) > 1:
            first, *others = sorted(different.values())
            sentence = f"{len(different)} look-alikes {where}: neighbouring slices or altered copies, kept on one side"
            yield note(Slug.LOOK_ALIKES, first, sentence, others=tuple(others))
