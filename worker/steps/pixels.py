"""The pixels of stored instances, decoded when they are needed."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby

from trainer.runtime.records import GreyImage
from worker.domain import InstanceHeader, ReadInstance
from worker.intake.read import read_instance
from worker.services import Services
from worker.steps.disk import disk_trouble_is_transient


def stored_pixels(services: Services, header: InstanceHeader) -> GreyImage:
    """Decode a slice from the store: `(rows, columns)` uint8.

    Raises:
        TransientError: the store does not answer.
        RejectedError: a stored instance no longer reads, which is a bug or a damaged disk.
    """
    return _stored_instance(services, header.sha256).frame_pixels(header.frame)


def stored_slices(
    services: Services, headers: Sequence[InstanceHeader]
) -> Iterator[tuple[InstanceHeader, Callable[[], GreyImage]]]:
    """Slices with what decodes each as `stored_pixels` does; frames of one file that follow each other open it once."""
    for sha256, frames in groupby(headers, key=lambda header: header.sha256):
        opened = cache(partial(_stored_instance, services, sha256))
        for header in frames:
            yield header, partial(_frame, opened, header.frame)


def _frame(opened: Callable[[], ReadInstance], number: int) -> GreyImage:
    return opened().frame_pixels(number)


def _stored_instance(services: Services, sha256: str) -> ReadInstance:
    with disk_trouble_is_transient("store"):
        return read_instance(services.objects.path_of(sha256), sha256, services.limits)
