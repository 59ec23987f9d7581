"""The folders of `TRIAGE_HOME` and who may read them."""

from worker.inbox_files import URGENT_FOLDER
from worker.outbox import Outbox
from worker.settings import DATABASE_FILE, Settings
from worker.store.objects import PRIVATE_FILE, PRIVATE_FOLDER


def make_folders(settings: Settings) -> None:
    """Make what is missing: the store and the broker for this user alone, inbox and outbox for those who share them."""
    settings.home.mkdir(parents=True, exist_ok=True)
    for private in (settings.store, settings.broker_folder, settings.broker_folder / "control"):
        private.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    for shared in (settings.inbox, settings.inbox / URGENT_FOLDER):
        shared.mkdir(exist_ok=True)
        shared.chmod(settings.share_mode)
    settings.claimed.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if settings.database_url is None:
        (settings.home / DATABASE_FILE).touch(PRIVATE_FILE)
    Outbox(settings.outbox, settings.share_mode).prepare()
