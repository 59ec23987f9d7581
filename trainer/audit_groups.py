"""Images that share something: a sum, or a group of look-alikes."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from trainer.audit_files import AuditedImage
from trainer.image_check import ImageFacts


@dataclass(frozen=True)
class GroupedImage:
    """A decoded image and its place among the groups."""

    image: AuditedImage
    facts: ImageFacts
    group: int


Group = Sequence[GroupedImage]


def repeated(pictures: Sequence[GroupedImage], keys: Sequence[Hashable]) -> list[Group]:
    """Pictures that share a key, for each key that more than one has; in the order of the first of each."""
    groups: dict[Hashable, list[GroupedImage]] = defaultdict(list)
    for picture, key in zip(pictures, keys, strict=True):
        groups[key].append(picture)
    return [group for group in groups.values() if len(group) > 1]
