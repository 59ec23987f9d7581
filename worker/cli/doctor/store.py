"""Is the store at its place?"""

from collections.abc import Iterator

from worker.cli.doctor.folders import FOLDERS, folder_lines
from worker.cli.doctor.lines import Line, trouble, warning
from worker.cli.failure import CommandError
from worker.cli.opening import open_transactions
from worker.settings import Settings
from worker.store.away import missing_store
from worker.store.objects import MARKER, ObjectStore


def check_store(settings: Settings) -> Iterator[Line]:
    """One line of its folder, or what is wrong with it."""
    store = settings.store
    try:
        missing = missing_store(ObjectStore(store), open_transactions(settings))
        is_marked = not store.exists() or ObjectStore(store).is_there()
    except (CommandError, OSError):
        missing, is_marked = None, True  # the lines of the database and of the folder say so
    if missing is not None:
        yield trouble(FOLDERS, *missing)
    elif not is_marked:
        sentence = f"{store} has no {MARKER}, so that a running worker takes it for another folder than the store."
        yield warning(FOLDERS, sentence, "Restart the worker, which makes it.")
    elif settings.home.exists():
        yield from folder_lines(store, private=True)
