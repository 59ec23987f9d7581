"""What `backup` does, with a sentence for everything that people can mend."""

from pathlib import Path

from worker.backup import Backup, BackupError, back_up
from worker.cli.failure import CommandError
from worker.cli.opening import open_transactions
from worker.errors import io_error_name
from worker.settings import Settings


def back_up_home(settings: Settings, target: Path) -> Backup:
    """Back a TRIAGE_HOME up, whether or not a worker runs on it.

    Raises:
        CommandError: there is no backup; what was begun is removed.
    """
    transaction = open_transactions(settings)
    with transaction():
        pass  # it is there and answers
    try:
        return back_up(settings, target.absolute(), transaction)
    except BackupError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"The backup cannot be written to {target}: {io_error_name(error)}.") from None


def backup_sentence(made: Backup) -> str:
    """For people."""
    missing = f" {made.missing} files that rows name were not there: see `verify`." if made.missing else ""
    return f"{made.target}: {made.studies} studies, {made.files} files received, {made.copied} files copied.{missing}"
