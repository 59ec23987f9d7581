"""The pixels of stored instances, decoded when they are needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import groupby

from trainer.runtime.records import GreyImage
from worker.domain import GreyRange, InstanceHeader, ReadInstance
from worker.intake.read import read_instance
from worker.services import Services
from worker.steps.disk import disk_trouble_is_transient
from worker.studies import series_ranges


def stored_pixels(services: Services, ranges: Mapping[str, GreyRange], header: InstanceHeader) -> GreyImage:
    """Decode a slice from the store: `(rows, columns)` uint8, shown by the range of its series.

    Raises:
        TransientError: the store does not answer.
        RejectedError: a stored instance no longer reads, which is a bug or a damaged disk.
    """
    return _stored_instance(services, header, ranges).frame_pixels(header.frame)


def stored_slices(
    services: Services, headers: Sequence[InstanceHeader]
) -> Iterator[tuple[InstanceHeader, Callable[[], GreyImage]]]:
    """All slices of a study with what decodes each as `stored_pixels` does; frames in a row open their file once."""
    ranges = series_ranges(headers)
    for _, frames in groupby(headers, key=lambda header: header.sha256):
        first, *rest = frames
        opened = cache(partial(_stored_instance, services, first, ranges))
        for header in (first, *rest):
            yield header, partial(_frame, opened, header.frame)


def _frame(opened: Callable[[], ReadInstance], number: int) -> GreyImage:
    return opened().frame_pixels(number)


def _stored_instance(services: Services, header: InstanceHeader, ranges: Mapping[str, GreyRange]) -> ReadInstance:
    path, shown_by = services.objects.path_of(header.sha256), ranges.get(header.series_uid)
    with disk_trouble_is_transient("store"):
        return read_instance(path, header.sha256, services.limits, shown_by)
