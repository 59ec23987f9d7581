"""A disk in the way is no reason to give a scan up."""

from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import TransientError, io_error_name
from worker.store.objects import StoreAwayError


@contextmanager
def disk_trouble_is_transient(what: str) -> Iterator[None]:
    """Turn a failed read or write into a later attempt, without the path, which may hold a file name.

    Raises:
        TransientError: names `what`, and the kind of trouble.
    """
    try:
        yield
    except StoreAwayError as error:
        raise TransientError(f"{what}: {error}") from None
    except OSError as error:
        raise TransientError(f"{what}: {io_error_name(error)}") from None
