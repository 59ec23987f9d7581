"""A store that is not at its place although the database names what is in it."""

from worker.store.objects import MARKER, ObjectStore
from worker.store.queries import has_stored_files
from worker.store.session import Transaction


def missing_store(objects: ObjectStore, transaction: Transaction) -> tuple[str, str] | None:
    """What is wrong and what to do, a sentence each, where a new store would take the place of one that is away.

    Raises:
        OSError: the disk does not answer.
    """
    if objects.is_there() or objects.holds_objects():
        return None
    with transaction() as session:
        if not has_stored_files(session):
            return None
    root = objects.root
    return (
        f"The database names stored files, and {root} is not their store: it is missing or empty.",
        f"Mount it or move it back; if it is gone for good: mkdir -p {root} && touch {root / MARKER}",
    )
