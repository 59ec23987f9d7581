"""The pixels of stored instances, decoded when they are needed."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from trainer.runtime.records import GreyImage
from worker.domain import GreyRange, InstanceHeader, ReadInstance
from worker.intake.read import read_instance
from worker.services import Services
from worker.steps.disk import disk_trouble_is_transient
from worker.studies import series_ranges

_MOST_OPEN = 16
"""Echoes and stacks of one examination lie between each other; a deflated object takes more memory than its file."""


def stored_pixels(services: Services, ranges: Mapping[str, GreyRange], header: InstanceHeader) -> GreyImage:
    """Decode a slice from the store: `(rows, columns)` uint8, shown by the range of its series.

    Raises:
        TransientError: the store does not answer.
        RejectedError: a stored instance no longer reads, which is a bug or a damaged disk.
    """
    return _stored_instance(services, ranges, header).frame_pixels(header.frame)


def stored_slices(
    services: Services, headers: Sequence[InstanceHeader]
) -> Iterator[tuple[InstanceHeader, Callable[[], GreyImage]]]:
    """All slices of a study with what decodes each as `stored_pixels` does; multi-frame objects stay open meanwhile."""
    ranges = series_ranges(headers)
    frames = Counter(header.sha256 for header in headers)
    kept = _OpenObjects(services, ranges)
    for header in headers:
        yield (
            header,
            partial(kept.pixels if frames[header.sha256] > 1 else partial(stored_pixels, services, ranges), header),
        )


class _OpenObjects:
    """Multi-frame objects whose frames come in any order, with those of other objects in between.

    Their files together have as many bytes as one file may, or are one; the object longest unused goes first.
    """

    def __init__(self, services: Services, ranges: Mapping[str, GreyRange]) -> None:
        self._services = services
        self._ranges = ranges
        self._open: OrderedDict[str, tuple[ReadInstance, int]] = OrderedDict()

    def pixels(self, header: InstanceHeader) -> GreyImage:
        """Decode a frame as `stored_pixels` does."""
        if header.sha256 not in self._open:
            self._admit(header)
        self._open.move_to_end(header.sha256)
        return self._open[header.sha256][0].frame_pixels(header.frame)

    def _admit(self, header: InstanceHeader) -> None:
        with disk_trouble_is_transient("store"):
            size = self._services.objects.path_of(header.sha256).stat().st_size
        room = self._services.limits.max_file_bytes - size
        while self._open and (len(self._open) >= _MOST_OPEN or sum(size for _, size in self._open.values()) > room):
            self._open.popitem(last=False)
        self._open[header.sha256] = _stored_instance(self._services, self._ranges, header), size


def _stored_instance(services: Services, ranges: Mapping[str, GreyRange], header: InstanceHeader) -> ReadInstance:
    path, shown_by = services.objects.path_of(header.sha256), ranges.get(header.series_uid)
    with disk_trouble_is_transient("store"):
        return read_instance(path, header.sha256, services.limits, shown_by)
