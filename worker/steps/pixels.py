"""The pixels of a stored instance, decoded when they are needed."""

from trainer.runtime.records import GreyImage
from worker.domain import InstanceHeader
from worker.intake.read import read_instance
from worker.services import Services
from worker.steps.disk import disk_trouble_is_transient


def stored_pixels(services: Services, header: InstanceHeader) -> GreyImage:
    """Decode an instance from the store: `(rows, columns)` uint8.

    Raises:
        TransientError: the store does not answer.
        RejectedError: a stored instance no longer reads, which is a bug or a damaged disk.
    """
    with disk_trouble_is_transient("store"):
        return read_instance(services.objects.path_of(header.sha256), header.sha256, services.limits).pixels
